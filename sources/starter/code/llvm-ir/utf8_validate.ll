; utf8_validate.ll - length of the valid UTF-8 prefix of a buffer.
;
; A small state machine written directly in SSA form: the loop-carried values
; are the offset, the start of the current sequence, the number of
; continuation bytes still due, and the bounds of the next byte. The first
; continuation byte has tighter bounds after E0, ED, F0 and F4, which is what
; rules out overlong forms, surrogates and values above U+10FFFF.

target datalayout = "e-m:e-p270:32:32-p271:32:32-p272:64:64-i64:64-f80:128-n8:16:32:64-S128"
target triple = "x86_64-unknown-linux-gnu"

@text.good = private unnamed_addr constant [11 x i8] c"gr\C3\BC\C3\9Fe \E2\82\AC", align 1
@text.surrogate = private unnamed_addr constant [5 x i8] c"ab\ED\A0\80", align 1
@text.cut = private unnamed_addr constant [6 x i8] c"xyz\F0\9F\99", align 1
@fmt = private unnamed_addr constant [16 x i8] c"%s: %ld of %ld\0A\00", align 1
@name.good = private unnamed_addr constant [5 x i8] c"good\00", align 1
@name.surrogate = private unnamed_addr constant [10 x i8] c"surrogate\00", align 1
@name.cut = private unnamed_addr constant [4 x i8] c"cut\00", align 1

declare i32 @printf(ptr nocapture readonly, ...)

; Classifies a lead byte. Returns { continuation bytes, low, high } and a
; count of -1 for bytes that cannot start a sequence.
define internal { i32, i8, i8 } @classify(i8 %b) #0 {
entry:
  %is.ascii = icmp sge i8 %b, 0
  br i1 %is.ascii, label %ascii, label %multi

ascii:
  ret { i32, i8, i8 } { i32 0, i8 0, i8 0 }

multi:
  switch i8 %b, label %ranges [
    i8 u0xE0, label %e0
    i8 u0xED, label %ed
    i8 u0xF0, label %f0
    i8 u0xF4, label %f4
  ]

e0:
  ret { i32, i8, i8 } { i32 2, i8 -96, i8 -65 }      ; A0..BF
ed:
  ret { i32, i8, i8 } { i32 2, i8 -128, i8 -97 }     ; 80..9F
f0:
  ret { i32, i8, i8 } { i32 3, i8 -112, i8 -65 }     ; 90..BF
f4:
  ret { i32, i8, i8 } { i32 3, i8 -128, i8 -113 }    ; 80..8F

ranges:
  ; C2..DF, E1..EF and F1..F3, told apart with unsigned wrap-around.
  %from.c2 = sub i8 %b, -62
  %is.two = icmp ult i8 %from.c2, 30
  %from.e1 = sub i8 %b, -31
  %is.three = icmp ult i8 %from.e1, 15
  %from.f1 = sub i8 %b, -15
  %is.four = icmp ult i8 %from.f1, 3
  %n.four = select i1 %is.four, i32 3, i32 -1
  %n.three = select i1 %is.three, i32 2, i32 %n.four
  %n = select i1 %is.two, i32 1, i32 %n.three
  %r0 = insertvalue { i32, i8, i8 } { i32 poison, i8 -128, i8 -65 }, i32 %n, 0
  ret { i32, i8, i8 } %r0
}

define i64 @utf8_valid_prefix(ptr noundef readonly %buf, i64 noundef %len) #0 {
entry:
  br label %loop

loop:
  %i = phi i64 [ 0, %entry ], [ %i.next, %advance ]
  %start = phi i64 [ 0, %entry ], [ %start.next, %advance ]
  %due = phi i32 [ 0, %entry ], [ %due.next, %advance ]
  %lo = phi i8 [ 0, %entry ], [ %lo.next, %advance ]
  %hi = phi i8 [ 0, %entry ], [ %hi.next, %advance ]
  %at.end = icmp eq i64 %i, %len
  br i1 %at.end, label %done, label %step

step:
  %p = getelementptr inbounds i8, ptr %buf, i64 %i
  %b = load i8, ptr %p, align 1
  %inside = icmp ne i32 %due, 0
  br i1 %inside, label %continuation, label %lead

lead:
  %class = call { i32, i8, i8 } @classify(i8 %b)
  %class.n = extractvalue { i32, i8, i8 } %class, 0
  %class.lo = extractvalue { i32, i8, i8 } %class, 1
  %class.hi = extractvalue { i32, i8, i8 } %class, 2
  %bad.lead = icmp slt i32 %class.n, 0
  br i1 %bad.lead, label %done, label %advance

continuation:
  ; Both bounds and the byte are negative as signed numbers or the byte fails.
  %ge = icmp sge i8 %b, %lo
  %le = icmp sle i8 %b, %hi
  %in.range = and i1 %ge, %le
  %due.less = sub nsw i32 %due, 1
  br i1 %in.range, label %advance, label %done

advance:
  %due.next = phi i32 [ %class.n, %lead ], [ %due.less, %continuation ]
  %lo.next = phi i8 [ %class.lo, %lead ], [ -128, %continuation ]
  %hi.next = phi i8 [ %class.hi, %lead ], [ -65, %continuation ]
  %i.next = add nuw i64 %i, 1
  %complete = icmp eq i32 %due.next, 0
  %start.next = select i1 %complete, i64 %i.next, i64 %start
  br label %loop

done:
  ; The prefix ends after the last complete sequence.
  ret i64 %start
}

define i32 @main() {
entry:
  %g = call i64 @utf8_valid_prefix(ptr @text.good, i64 11)
  %s = call i64 @utf8_valid_prefix(ptr @text.surrogate, i64 5)
  %c = call i64 @utf8_valid_prefix(ptr @text.cut, i64 6)
  %0 = call i32 (ptr, ...) @printf(ptr @fmt, ptr @name.good, i64 %g, i64 11)
  %1 = call i32 (ptr, ...) @printf(ptr @fmt, ptr @name.surrogate, i64 %s, i64 5)
  %2 = call i32 (ptr, ...) @printf(ptr @fmt, ptr @name.cut, i64 %c, i64 6)
  ret i32 0
}

attributes #0 = { nounwind "target-cpu"="x86-64" }
