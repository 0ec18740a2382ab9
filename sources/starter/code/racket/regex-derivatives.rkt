#lang racket/base

;; Regular expressions by Brzozowski derivatives, with intersection and
;; complement, compiled lazily to a DFA. Smart constructors keep expressions in
;; a weak normal form (modulo associativity, commutativity and idempotence of
;; alternation); without that the set of derivatives would not be finite.

(require racket/contract
         racket/list
         racket/match
         racket/set)

(provide
 (contract-out
  [rename literal re (-> string? re?)]
  [one-of (-> string? re?)]
  [compile-regex (-> re? (-> string? boolean?))]
  [shortest-member (-> re? (or/c string? #f))]
  [equivalent? (-> re? re? boolean?)])
 (rename-out [seq* then] [alt* either] [both* both] [star* many] [neg* but-not]))

;; ------------------------------------------------------------------ syntax

(struct re () #:transparent)
(struct none re () #:transparent)              ; matches nothing
(struct empty-re re () #:transparent)          ; matches the empty string
(struct chars re (set negated?) #:transparent) ; one character
(struct seq re (a b) #:transparent)
(struct alt re (parts) #:transparent)          ; set of at least two
(struct both re (parts) #:transparent)
(struct star re (a) #:transparent)
(struct neg re (a) #:transparent)

(define NONE (none))
(define EMPTY (empty-re))
(define ALL (neg NONE))

(define (seq* a b)
  (match* (a b)
    [((? none?) _) NONE]
    [(_ (? none?)) NONE]
    [((? empty-re?) b) b]
    [(a (? empty-re?)) a]
    [((seq x y) b) (seq x (seq* y b))]
    [(a b) (seq a b)]))

;; The two lattices are dual, so one constructor serves both.
(define ((lattice make get-parts kind? zero one) . res)
  (define parts
    (for/fold ([acc (set)]) ([r (in-list res)])
      (if (kind? r) (set-union acc (get-parts r)) (set-add acc r))))
  (define useful (set-remove parts one))
  (cond [(set-member? parts zero) zero]
        [(set-empty? useful) one]
        [(= (set-count useful) 1) (set-first useful)]
        [else (make useful)]))

(define alt* (lattice alt alt-parts alt? ALL NONE))
(define both* (lattice both both-parts both? NONE ALL))

(define (star* a)
  (match a
    [(or (? none?) (? empty-re?)) EMPTY]
    [_ (if (star? a) a (star a))]))

(define (neg* a) (if (neg? a) (neg-a a) (neg a)))

(define (one-of text) (chars (list->set (string->list text)) #f))

(define (literal text)
  (for/foldr ([rest EMPTY]) ([c (in-string text)])
    (seq* (one-of (string c)) rest)))

;; ------------------------------------------------------------- derivatives

(define (nullable? r)
  (match r
    [(or (? none?) (? chars?)) #f]
    [(or (? empty-re?) (? star?)) #t]
    [(seq a b) (and (nullable? a) (nullable? b))]
    [(alt parts) (for/or ([p (in-set parts)]) (nullable? p))]
    [(both parts) (for/and ([p (in-set parts)]) (nullable? p))]
    [(neg a) (not (nullable? a))]))

;; `c` is a character, or 'other for any character the expression never names.
(define (derive r c)
  (match r
    [(or (? none?) (? empty-re?)) NONE]
    [(chars s negated?)
     (if (eq? (and (char? c) (set-member? s c)) (not negated?)) EMPTY NONE)]
    [(seq a b)
     (define left (seq* (derive a c) b))
     (if (nullable? a) (alt* left (derive b c)) left)]
    [(alt parts) (apply alt* (for/list ([p (in-set parts)]) (derive p c)))]
    [(both parts) (apply both* (for/list ([p (in-set parts)]) (derive p c)))]
    [(star a) (seq* (derive a c) r)]
    [(neg a) (neg* (derive a c))]))

(define (alphabet r)
  (match r
    [(chars s _) s]
    [(seq a b) (set-union (alphabet a) (alphabet b))]
    [(or (alt parts) (both parts))
     (for/fold ([acc (set)]) ([p (in-set parts)]) (set-union acc (alphabet p)))]
    [(or (star a) (neg a)) (alphabet a)]
    [_ (set)]))

(define (compile-regex r)
  (define named (alphabet r))
  (define transitions (make-hash))             ; (cons state class) -> state
  (define (step state c)
    (define class (if (set-member? named c) c 'other))
    (hash-ref! transitions (cons state class) (λ () (derive state class))))
  (λ (text)
    (nullable? (for/fold ([state r]) ([c (in-string text)])
                 #:break (none? state)
                 (step state c)))))

;; Breadth-first search for an accepting state; #f if the language is empty.
(define (shortest-member r)
  (define classes (append (sort (set->list (alphabet r)) char<?) '(other)))
  (let search ([frontier (list (cons r '()))] [seen (set r)])
    (define hit (findf (λ (entry) (nullable? (car entry))) frontier))
    (cond
      [hit (list->string (for/list ([c (reverse (cdr hit))])
                           (if (char? c) c #\uFFFD)))]
      [(null? frontier) #f]
      [else
       (define-values (next seen*)
         (for*/fold ([next '()] [seen seen])
                    ([entry (in-list frontier)] [c (in-list classes)])
           (define d (derive (car entry) c))
           (if (set-member? seen d)
               (values next seen)
               (values (cons (cons d (cons c (cdr entry))) next)
                       (set-add seen d)))))
       (search (reverse next) seen*)])))

(define (equivalent? a b)
  (not (shortest-member (alt* (both* a (neg* b)) (both* b (neg* a))))))

(module+ test
  (require rackunit)
  (define a-or-b (star* (one-of "ab")))
  (define has-aa (seq* a-or-b (seq* (literal "aa") a-or-b)))
  (define isolated-a (both* a-or-b (neg* has-aa)))
  (check-true ((compile-regex isolated-a) "abbaba"))
  (check-false ((compile-regex isolated-a) "abbaab"))
  (check-equal? (shortest-member has-aa) "aa")
  (check-true (equivalent? a-or-b (star* (alt* (literal "a") (literal "b"))))))
