; Vectorised single-precision kernels with scalar tails.
;
;   float dot(ptr x, ptr y, i64 n)
;   void  clamp_axpy(float a, ptr x, ptr y, i64 n, float lo, float hi)
;
; dot keeps two accumulators of eight lanes, so that the latency of the fused
; multiply-add is hidden. clamp_axpy handles its tail with a masked load and
; store instead of a second loop. The accesses are unaligned throughout.

target triple = "x86_64-unknown-linux-gnu"

@xs = internal global [19 x float] zeroinitializer, align 16
@ys = internal global [19 x float] zeroinitializer, align 16
@fmt = private unnamed_addr constant [29 x i8] c"dot %.1f, y[0] %g, y[18] %g\0A\00"

declare <8 x float> @llvm.fma.v8f32(<8 x float>, <8 x float>, <8 x float>)
declare float @llvm.fma.f32(float, float, float)
declare float @llvm.vector.reduce.fadd.v8f32(float, <8 x float>)
declare <8 x float> @llvm.maxnum.v8f32(<8 x float>, <8 x float>)
declare <8 x float> @llvm.minnum.v8f32(<8 x float>, <8 x float>)
declare <8 x i1> @llvm.get.active.lane.mask.v8i1.i64(i64, i64)
declare <8 x float> @llvm.masked.load.v8f32.p0(ptr, i32 immarg, <8 x i1>, <8 x float>)
declare void @llvm.masked.store.v8f32.p0(<8 x float>, ptr, i32 immarg, <8 x i1>)
declare i32 @printf(ptr, ...)

define float @dot(ptr noalias readonly %x, ptr noalias readonly %y, i64 %n) #0 {
entry:
  %n.main = and i64 %n, -16
  %has.main = icmp ne i64 %n.main, 0
  br i1 %has.main, label %main.loop, label %tail.head

main.loop:
  %i = phi i64 [ 0, %entry ], [ %i.next, %main.loop ]
  %acc0 = phi <8 x float> [ zeroinitializer, %entry ], [ %acc0.next, %main.loop ]
  %acc1 = phi <8 x float> [ zeroinitializer, %entry ], [ %acc1.next, %main.loop ]
  %x0.p = getelementptr inbounds float, ptr %x, i64 %i
  %y0.p = getelementptr inbounds float, ptr %y, i64 %i
  %x1.p = getelementptr inbounds float, ptr %x0.p, i64 8
  %y1.p = getelementptr inbounds float, ptr %y0.p, i64 8
  %x0 = load <8 x float>, ptr %x0.p, align 4
  %y0 = load <8 x float>, ptr %y0.p, align 4
  %x1 = load <8 x float>, ptr %x1.p, align 4
  %y1 = load <8 x float>, ptr %y1.p, align 4
  %acc0.next = call <8 x float> @llvm.fma.v8f32(<8 x float> %x0, <8 x float> %y0, <8 x float> %acc0)
  %acc1.next = call <8 x float> @llvm.fma.v8f32(<8 x float> %x1, <8 x float> %y1, <8 x float> %acc1)
  %i.next = add nuw i64 %i, 16
  %main.done = icmp eq i64 %i.next, %n.main
  br i1 %main.done, label %main.reduce, label %main.loop, !llvm.loop !0

main.reduce:
  %acc = fadd <8 x float> %acc0.next, %acc1.next
  ; "reassoc" permits a tree; without it the lanes are added in order
  %sum.main = call reassoc float @llvm.vector.reduce.fadd.v8f32(float -0.0, <8 x float> %acc)
  br label %tail.head

tail.head:
  %sum.start = phi float [ 0.0, %entry ], [ %sum.main, %main.reduce ]
  %has.tail = icmp ult i64 %n.main, %n
  br i1 %has.tail, label %tail, label %exit

tail:
  %j = phi i64 [ %n.main, %tail.head ], [ %j.next, %tail ]
  %sum = phi float [ %sum.start, %tail.head ], [ %sum.next, %tail ]
  %xj.p = getelementptr inbounds float, ptr %x, i64 %j
  %yj.p = getelementptr inbounds float, ptr %y, i64 %j
  %xj = load float, ptr %xj.p, align 4
  %yj = load float, ptr %yj.p, align 4
  %sum.next = call float @llvm.fma.f32(float %xj, float %yj, float %sum)
  %j.next = add nuw i64 %j, 1
  %tail.done = icmp eq i64 %j.next, %n
  br i1 %tail.done, label %exit, label %tail

exit:
  %result = phi float [ %sum.start, %tail.head ], [ %sum.next, %tail ]
  ret float %result
}

define void @clamp_axpy(float %a, ptr noalias readonly %x, ptr noalias %y, i64 %n, float %lo, float %hi) #0 {
entry:
  %a.one = insertelement <8 x float> poison, float %a, i64 0
  %a.all = shufflevector <8 x float> %a.one, <8 x float> poison, <8 x i32> zeroinitializer
  %lo.one = insertelement <8 x float> poison, float %lo, i64 0
  %lo.all = shufflevector <8 x float> %lo.one, <8 x float> poison, <8 x i32> zeroinitializer
  %hi.one = insertelement <8 x float> poison, float %hi, i64 0
  %hi.all = shufflevector <8 x float> %hi.one, <8 x float> poison, <8 x i32> zeroinitializer
  %empty = icmp eq i64 %n, 0
  br i1 %empty, label %exit, label %loop

loop:
  %i = phi i64 [ 0, %entry ], [ %i.next, %loop ]
  %mask = call <8 x i1> @llvm.get.active.lane.mask.v8i1.i64(i64 %i, i64 %n)
  %xp = getelementptr float, ptr %x, i64 %i
  %yp = getelementptr float, ptr %y, i64 %i
  %xv = call <8 x float> @llvm.masked.load.v8f32.p0(ptr %xp, i32 4, <8 x i1> %mask, <8 x float> zeroinitializer)
  %yv = call <8 x float> @llvm.masked.load.v8f32.p0(ptr %yp, i32 4, <8 x i1> %mask, <8 x float> zeroinitializer)
  %raw = call <8 x float> @llvm.fma.v8f32(<8 x float> %a.all, <8 x float> %xv, <8 x float> %yv)
  %floor = call <8 x float> @llvm.maxnum.v8f32(<8 x float> %raw, <8 x float> %lo.all)
  %clamped = call <8 x float> @llvm.minnum.v8f32(<8 x float> %floor, <8 x float> %hi.all)
  call void @llvm.masked.store.v8f32.p0(<8 x float> %clamped, ptr %yp, i32 4, <8 x i1> %mask)
  %i.next = add i64 %i, 8
  %more = icmp ult i64 %i.next, %n
  br i1 %more, label %loop, label %exit

exit:
  ret void
}

define i32 @main() {
entry:
  br label %fill

fill:
  %i = phi i64 [ 0, %entry ], [ %i.next, %fill ]
  %v = uitofp i64 %i to float
  %xp = getelementptr inbounds [19 x float], ptr @xs, i64 0, i64 %i
  %yp = getelementptr inbounds [19 x float], ptr @ys, i64 0, i64 %i
  store float %v, ptr %xp, align 4
  store float 2.0, ptr %yp, align 4
  %i.next = add nuw i64 %i, 1
  %full = icmp eq i64 %i.next, 19
  br i1 %full, label %work, label %fill

work:
  %d = call float @dot(ptr @xs, ptr @ys, i64 19)
  call void @clamp_axpy(float 1.5, ptr @xs, ptr @ys, i64 19, float 3.0, float 25.0)
  %first = load float, ptr @ys, align 4
  %last.p = getelementptr inbounds [19 x float], ptr @ys, i64 0, i64 18
  %last = load float, ptr %last.p, align 4
  %d.f64 = fpext float %d to double
  %first.f64 = fpext float %first to double
  %last.f64 = fpext float %last to double
  %n = call i32 (ptr, ...) @printf(ptr @fmt, double %d.f64, double %first.f64, double %last.f64)
  ret i32 0
}

attributes #0 = { nounwind "target-features"="+avx2,+fma" }

!0 = distinct !{!0, !1}
!1 = !{!"llvm.loop.unroll.disable"}
