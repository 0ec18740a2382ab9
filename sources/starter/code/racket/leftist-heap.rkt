#lang typed/racket

;; Persistent priority queues as leftist heaps, in Typed Racket, and an event
;; simulation of a small clinic that uses them. Persistence is not an ornament
;; here: the simulation forks its event queue to compare two staffing plans from
;; the same morning onwards, and the fork costs nothing.

(require racket/flonum)

(provide Heap heap-empty heap-insert heap-merge heap-pop heap-size)

(struct (A) node ([rank : Positive-Integer]
                  [size : Positive-Integer]
                  [key : Real]
                  [item : A]
                  [left : (Heap A)]
                  [right : (Heap A)])
  #:transparent)

(define-type (Heap A) (U 'nil (node A)))

(: heap-empty (All (A) (-> (Heap A))))
(define (heap-empty) 'nil)

(: rank (All (A) (-> (Heap A) Natural)))
(define (rank h)
  (if (node? h) (node-rank h) 0))

(: heap-size (All (A) (-> (Heap A) Natural)))
(define (heap-size h)
  (if (node? h) (node-size h) 0))

;; Restores the leftist property: the shorter spine goes to the right, so right
;; spines stay logarithmic and merging follows only right spines.
(: join (All (A) (-> Real A (Heap A) (Heap A) (node A))))
(define (join key item a b)
  (define size (+ 1 (heap-size a) (heap-size b)))
  (if (>= (rank a) (rank b))
      (node (+ 1 (rank b)) size key item a b)
      (node (+ 1 (rank a)) size key item b a)))

(: heap-merge (All (A) (-> (Heap A) (Heap A) (Heap A))))
(define (heap-merge a b)
  (cond
    [(not (node? a)) b]
    [(not (node? b)) a]
    [(<= (node-key a) (node-key b))
     (join (node-key a) (node-item a) (node-left a) (heap-merge (node-right a) b))]
    [else
     (join (node-key b) (node-item b) (node-left b) (heap-merge a (node-right b)))]))

(: heap-insert (All (A) (-> Real A (Heap A) (Heap A))))
(define (heap-insert key item h)
  (heap-merge (join key item 'nil 'nil) h))

;; The smallest key, its item and the rest; #f on an empty heap. The type makes
;; a caller deal with #f before touching the parts.
(: heap-pop (All (A) (-> (Heap A) (U False (List Real A (Heap A))))))
(define (heap-pop h)
  (and (node? h)
       (list (node-key h) (node-item h) (heap-merge (node-left h) (node-right h)))))

;; -------------------------------------------------------------- simulation

(struct arrival ([patient : Natural] [minutes : Positive-Real]) #:transparent)
(struct departure ([patient : Natural]) #:transparent)
(struct shift-change ([doctors : Natural]) #:transparent)
(define-type Event (U arrival departure shift-change))

(struct clinic ([doctors : Integer]                 ; on duty
                [busy : Natural]
                [waiting : (Listof (Pairof Real arrival))]
                [waits : (Listof Real)])            ; minutes, most recent first
  #:transparent)

(: handle (-> Real Event clinic (Heap Event) (Values clinic (Heap Event))))
(define (handle now event c queue)
  (match event
    [(? arrival? a)
     (admit now
            (struct-copy clinic c [waiting (append (clinic-waiting c)
                                                   (list (cons now a)))])
            queue)]
    [(departure _)
     (admit now (struct-copy clinic c [busy (max 0 (- (clinic-busy c) 1))]) queue)]
    [(shift-change doctors)
     (admit now (struct-copy clinic c [doctors doctors]) queue)]))

;; Take patients in for as long as a doctor is free. A shift that ends with
;; patients in the rooms leaves busy > doctors until they are done.
(: admit (-> Real clinic (Heap Event) (Values clinic (Heap Event))))
(define (admit now c queue)
  (match (clinic-waiting c)
    [(cons (cons since (arrival patient minutes)) rest)
     #:when (< (clinic-busy c) (clinic-doctors c))
     (admit now
            (struct-copy clinic c
              [busy (+ 1 (clinic-busy c))]
              [waiting rest]
              [waits (cons (- now since) (clinic-waits c))])
            (heap-insert (+ now minutes) (departure patient) queue))]
    [_ (values c queue)]))

(: run (-> clinic (Heap Event) clinic))
(define (run c queue)
  (match (heap-pop queue)
    [#f c]
    [(list now event rest)
     (let-values ([(c* queue*) (handle now event c rest)])
       (run c* queue*))]))

(: morning (-> Positive-Integer (Heap Event)))
(define (morning seed)
  (random-seed seed)
  (for/fold ([h : (Heap Event) (heap-empty)])
            ([patient : Natural (in-range 60)])
    (define at (* 300.0 (random)))
    (define minutes (+ 6.0 (* 7.0 (abs (fllog (+ 1e-9 (random)))))))
    (heap-insert at (arrival patient minutes) h)))

(: mean-wait (-> clinic Real))
(define (mean-wait c)
  (define waits (clinic-waits c))
  (if (null? waits) 0 (/ (apply + waits) (length waits))))

(module+ main
  (define patients (morning 4))
  (define plans : (Listof (Pairof String (Listof (Pairof Real Natural))))
    '(("three all morning" . ((0 . 3)))
      ("two, then four" . ((0 . 2) (90 . 4)))))
  (for ([plan (in-list plans)])
    (define queue
      (for/fold ([h : (Heap Event) patients]) ([change (in-list (cdr plan))])
        (heap-insert (car change) (shift-change (cdr change)) h)))
    (define end (run (clinic 0 0 '() '()) queue))
    (printf "~a: ~a seen, mean wait ~a min\n" (car plan)
            (length (clinic-waits end)) (~r (mean-wait end) #:precision 1))))
