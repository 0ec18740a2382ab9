; Decimal parser with overflow detection through intrinsics.
;
;   i64 parse_i64(ptr text, ptr end_out, ptr status_out)
;
; Accepts an optional sign and digits; status is 0 (fine), 1 (no digits) or
; 2 (out of range, the result saturates). Accumulates negatively, since the
; range below zero is one larger: INT64_MIN then needs no special case.

source_filename = "parse_i64.ll"
target triple = "x86_64-unknown-linux-gnu"

@sample.0 = private unnamed_addr constant [21 x i8] c"-9223372036854775808\00"
@sample.1 = private unnamed_addr constant [20 x i8] c"9223372036854775808\00"
@sample.2 = private unnamed_addr constant [8 x i8] c"+0042kg\00"
@sample.3 = private unnamed_addr constant [2 x i8] c"-\00"
@samples = internal constant [4 x ptr] [ptr @sample.0, ptr @sample.1, ptr @sample.2, ptr @sample.3]
@fmt = private unnamed_addr constant [38 x i8] c"%-22s -> %20ld  status %d  rest \22%s\22\0A\00"

declare { i64, i1 } @llvm.smul.with.overflow.i64(i64, i64)
declare { i64, i1 } @llvm.ssub.with.overflow.i64(i64, i64)
declare i1 @llvm.expect.i1(i1, i1)
declare i32 @printf(ptr, ...)

define i64 @parse_i64(ptr nocapture noundef readonly %text,
                      ptr nocapture noundef writeonly %end.out,
                      ptr nocapture noundef writeonly %status.out) nounwind {
entry:
  %c0 = load i8, ptr %text
  switch i8 %c0, label %digits.enter [
    i8 43, label %signed                ; '+'
    i8 45, label %signed                ; '-'
  ]

signed:
  %after.sign = getelementptr inbounds i8, ptr %text, i64 1
  br label %digits.enter

digits.enter:
  %first = phi ptr [ %text, %entry ], [ %after.sign, %signed ]
  %is.minus = icmp eq i8 %c0, 45
  br label %digits

digits:
  %p = phi ptr [ %first, %digits.enter ], [ %p.next, %accumulate ], [ %p.next, %skip ]
  %acc = phi i64 [ 0, %digits.enter ], [ %acc.next, %accumulate ], [ %acc, %skip ]
  %over = phi i1 [ false, %digits.enter ], [ %over.next, %accumulate ], [ true, %skip ]
  %c = load i8, ptr %p
  %d8 = sub i8 %c, 48
  %is.digit = icmp ult i8 %d8, 10
  br i1 %is.digit, label %digit, label %finish

digit:
  %p.next = getelementptr inbounds i8, ptr %p, i64 1
  %over.rare = call i1 @llvm.expect.i1(i1 %over, i1 false)
  br i1 %over.rare, label %skip, label %accumulate

skip:                                   ; keep consuming digits after overflow
  br label %digits

accumulate:
  %d = zext i8 %d8 to i64
  %mul = call { i64, i1 } @llvm.smul.with.overflow.i64(i64 %acc, i64 10)
  %mul.value = extractvalue { i64, i1 } %mul, 0
  %mul.over = extractvalue { i64, i1 } %mul, 1
  %sub = call { i64, i1 } @llvm.ssub.with.overflow.i64(i64 %mul.value, i64 %d)
  %acc.next = extractvalue { i64, i1 } %sub, 0
  %sub.over = extractvalue { i64, i1 } %sub, 1
  %over.next = or i1 %mul.over, %sub.over
  br label %digits

finish:
  %none = icmp eq ptr %p, %first
  br i1 %none, label %no.digits, label %range

no.digits:                              ; nothing consumed, not even the sign
  store ptr %text, ptr %end.out
  store i32 1, ptr %status.out
  ret i64 0

range:
  store ptr %p, ptr %end.out
  ; A positive result must also survive the negation.
  %is.plus = xor i1 %is.minus, true
  %at.min = icmp eq i64 %acc, -9223372036854775808
  %cannot.negate = and i1 %is.plus, %at.min
  %bad = select i1 %over, i1 true, i1 %cannot.negate
  br i1 %bad, label %saturate, label %good

saturate:
  %limit = select i1 %is.minus, i64 -9223372036854775808, i64 9223372036854775807
  store i32 2, ptr %status.out
  ret i64 %limit

good:
  %negated = sub nsw i64 0, %acc
  %value = select i1 %is.minus, i64 %acc, i64 %negated
  store i32 0, ptr %status.out
  ret i64 %value
}

define i32 @main() {
entry:
  %end = alloca ptr, align 8
  %status = alloca i32, align 4
  br label %next

next:
  %i = phi i64 [ 0, %entry ], [ %i.next, %next ]
  %slot = getelementptr inbounds [4 x ptr], ptr @samples, i64 0, i64 %i
  %text = load ptr, ptr %slot
  %value = call i64 @parse_i64(ptr %text, ptr %end, ptr %status)
  %rest = load ptr, ptr %end
  %code = load i32, ptr %status
  %ignored = call i32 (ptr, ...) @printf(ptr @fmt, ptr %text, i64 %value, i32 %code, ptr %rest)
  %i.next = add nuw nsw i64 %i, 1
  %more = icmp ult i64 %i.next, 4
  br i1 %more, label %next, label %exit, !prof !0

exit:
  ret i32 0
}

!0 = !{!"branch_weights", i32 3, i32 1}
