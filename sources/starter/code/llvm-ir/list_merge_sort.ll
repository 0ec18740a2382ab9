; Stable merge sort of a singly linked list, by pointer rewriting only.
;
;   struct node { i64 key; struct node *next; }
;
; merge() builds its result behind a dummy head on the stack; sort() splits
; with a slow and a fast pointer. The recursion is at most log2(n) deep.

target triple = "x86_64-unknown-linux-gnu"

%node = type { i64, ptr }

@.str.item = private unnamed_addr constant [6 x i8] c"%lld \00"
@.str.nl = private unnamed_addr constant [2 x i8] c"\0A\00"

declare ptr @malloc(i64 noundef) allockind("alloc,uninitialized") allocsize(0)
declare void @free(ptr allocptr noundef) allockind("free")
declare i32 @printf(ptr noundef, ...)

define internal ptr @merge(ptr %a.head, ptr %b.head) nounwind {
entry:
  %dummy = alloca %node, align 8
  br label %compare

compare:
  %a = phi ptr [ %a.head, %entry ], [ %a.rest, %link ]
  %b = phi ptr [ %b.head, %entry ], [ %b.rest, %link ]
  %tail = phi ptr [ %dummy, %entry ], [ %taken, %link ]
  %a.null = icmp eq ptr %a, null
  %b.null = icmp eq ptr %b, null
  %either = or i1 %a.null, %b.null
  br i1 %either, label %drain, label %choose

choose:
  %ka.addr = getelementptr inbounds %node, ptr %a, i32 0, i32 0
  %kb.addr = getelementptr inbounds %node, ptr %b, i32 0, i32 0
  %ka = load i64, ptr %ka.addr, align 8
  %kb = load i64, ptr %kb.addr, align 8
  ; "less or equal" takes from the left run on ties: that is stability
  %left = icmp sle i64 %ka, %kb
  br i1 %left, label %take.a, label %take.b

take.a:
  %a.next.addr = getelementptr inbounds %node, ptr %a, i32 0, i32 1
  %a.next = load ptr, ptr %a.next.addr, align 8
  br label %link

take.b:
  %b.next.addr = getelementptr inbounds %node, ptr %b, i32 0, i32 1
  %b.next = load ptr, ptr %b.next.addr, align 8
  br label %link

link:
  %taken = phi ptr [ %a, %take.a ], [ %b, %take.b ]
  %a.rest = phi ptr [ %a.next, %take.a ], [ %a, %take.b ]
  %b.rest = phi ptr [ %b, %take.a ], [ %b.next, %take.b ]
  %tail.next = getelementptr inbounds %node, ptr %tail, i32 0, i32 1
  store ptr %taken, ptr %tail.next, align 8
  br label %compare

drain:
  %remaining = select i1 %a.null, ptr %b, ptr %a
  %last.next = getelementptr inbounds %node, ptr %tail, i32 0, i32 1
  store ptr %remaining, ptr %last.next, align 8
  %head.addr = getelementptr inbounds %node, ptr %dummy, i32 0, i32 1
  %head = load ptr, ptr %head.addr, align 8
  ret ptr %head
}

define ptr @list_sort(ptr %head) nounwind {
entry:
  %empty = icmp eq ptr %head, null
  br i1 %empty, label %trivial, label %peek

peek:
  %second.addr = getelementptr inbounds %node, ptr %head, i32 0, i32 1
  %second = load ptr, ptr %second.addr, align 8
  %single = icmp eq ptr %second, null
  br i1 %single, label %trivial, label %walk

trivial:
  ret ptr %head

walk:                                   ; fast is two nodes ahead of slow
  %slow = phi ptr [ %head, %peek ], [ %slow.next, %walk.more ]
  %fast = phi ptr [ %second, %peek ], [ %fast.next2, %walk.more ]
  %fast.null = icmp eq ptr %fast, null
  br i1 %fast.null, label %split, label %walk.one

walk.one:
  %fast.next.addr = getelementptr inbounds %node, ptr %fast, i32 0, i32 1
  %fast.next = load ptr, ptr %fast.next.addr, align 8
  %fast.last = icmp eq ptr %fast.next, null
  br i1 %fast.last, label %split, label %walk.more

walk.more:
  %fast.next2.addr = getelementptr inbounds %node, ptr %fast.next, i32 0, i32 1
  %fast.next2 = load ptr, ptr %fast.next2.addr, align 8
  %slow.next.addr = getelementptr inbounds %node, ptr %slow, i32 0, i32 1
  %slow.next = load ptr, ptr %slow.next.addr, align 8
  br label %walk

split:
  %cut.addr = getelementptr inbounds %node, ptr %slow, i32 0, i32 1
  %right = load ptr, ptr %cut.addr, align 8
  store ptr null, ptr %cut.addr, align 8
  %left.sorted = call ptr @list_sort(ptr %head)
  %right.sorted = call ptr @list_sort(ptr %right)
  %merged = tail call ptr @merge(ptr %left.sorted, ptr %right.sorted)
  ret ptr %merged
}

define i32 @main() {
entry:
  br label %build

build:                                  ; keys from a small linear generator
  %i = phi i64 [ 0, %entry ], [ %i.next, %build ]
  %seed = phi i64 [ 7, %entry ], [ %seed.next, %build ]
  %list = phi ptr [ null, %entry ], [ %fresh, %build ]
  %scaled = mul nuw i64 %seed, 75
  %shifted = add nuw i64 %scaled, 74
  %seed.next = urem i64 %shifted, 65537
  %fresh = call ptr @malloc(i64 16)
  store i64 %seed.next, ptr %fresh, align 8
  %link.addr = getelementptr inbounds %node, ptr %fresh, i32 0, i32 1
  store ptr %list, ptr %link.addr, align 8
  %i.next = add nuw nsw i64 %i, 1
  %enough = icmp eq i64 %i.next, 12
  br i1 %enough, label %sorted, label %build

sorted:
  %first = call ptr @list_sort(ptr %fresh)
  br label %show

show:
  %cursor = phi ptr [ %first, %sorted ], [ %following, %show ]
  %key = load i64, ptr %cursor, align 8
  %n = call i32 (ptr, ...) @printf(ptr @.str.item, i64 %key)
  %following.addr = getelementptr inbounds %node, ptr %cursor, i32 0, i32 1
  %following = load ptr, ptr %following.addr, align 8
  call void @free(ptr %cursor)
  %finished = icmp eq ptr %following, null
  br i1 %finished, label %exit, label %show

exit:
  %m = call i32 (ptr, ...) @printf(ptr @.str.nl)
  ret i32 0
}
