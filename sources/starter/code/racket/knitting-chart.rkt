#lang racket/base

;; A little language for knitting patterns whose stitch counts are checked
;; while the program is compiled. A row that does not consume exactly the
;; stitches that the row below produced is a syntax error, reported at the row.
;;
;;   (define-pattern lace-edge
;;     #:cast-on 11
;;     (row (k 11))
;;     (row (k 3) (repeat 2 yo k2tog) (k 4))
;;     (row (p 11))
;;     (row (k 3) (repeat 3 yo (k 1)) (k 5))
;;     (row (bind-off 14)))

(require (for-syntax racket/base
                     racket/format
                     syntax/parse)
         racket/list
         racket/string)

(provide define-pattern pattern-rows pattern-width-after print-chart
         (struct-out stitch))

(struct stitch (name takes makes symbol) #:transparent)
(struct pattern (name cast-on rows) #:transparent)

(begin-for-syntax
  ;; name, stitches taken from the row below, stitches left on the needle
  (define stitch-table
    (hasheq 'k '(1 1 "k") 'p '(1 1 "-") 'yo '(0 1 "O")
            'k2tog '(2 1 "/") 'ssk '(2 1 "\\") 'p2tog '(2 1 "^")
            'kfb '(1 2 "V") 'm1 '(0 1 "M") 'sl '(1 1 "s")
            'sk2p '(3 1 "A") 'bind-off '(1 0 "x")))

  (define (table-ref id column)
    (list-ref (hash-ref stitch-table (syntax-e id)) column))

  (define-syntax-class stitch-name
    #:description "stitch"
    (pattern id:id
             #:fail-unless (hash-has-key? stitch-table (syntax-e #'id))
             (format "unknown stitch; known are ~a"
                     (sort (map symbol->string (hash-keys stitch-table)) string<?))
             #:attr takes (table-ref #'id 0)
             #:attr makes (table-ref #'id 1)
             #:attr symbol (table-ref #'id 2)))

  ;; Every instruction knows what it takes and makes, so nesting is a fold.
  (define-syntax-class instruction
    #:description "instruction"
    #:datum-literals (repeat)
    #:attributes (takes makes code)
    (pattern s:stitch-name
             #:attr takes (attribute s.takes)
             #:attr makes (attribute s.makes)
             #:with code #`(list (stitch 's.id #,(attribute s.takes)
                                         #,(attribute s.makes)
                                         #,(attribute s.symbol))))
    (pattern (repeat n:exact-positive-integer body:instruction ...+)
             #:do [(define times (syntax-e #'n))]
             #:attr takes (* times (apply + (attribute body.takes)))
             #:attr makes (* times (apply + (attribute body.makes)))
             #:with code #'(append* (make-list n (append body.code ...))))
    (pattern (s:stitch-name n:exact-positive-integer)
             #:do [(define times (syntax-e #'n))]
             #:attr takes (* times (attribute s.takes))
             #:attr makes (* times (attribute s.makes))
             #:with code #`(make-list n (stitch 's.id #,(attribute s.takes)
                                                #,(attribute s.makes)
                                                #,(attribute s.symbol)))))

  (define-syntax-class row
    #:description "row"
    #:datum-literals (row)
    #:attributes (takes makes code)
    (pattern (row step:instruction ...+)
             #:attr takes (apply + (attribute step.takes))
             #:attr makes (apply + (attribute step.makes))
             #:with code #'(append step.code ...)))

  (define (check-rows! whole cast-on rows takes makes)
    (for/fold ([on-needle cast-on])
              ([stx (in-list rows)] [t (in-list takes)] [m (in-list makes)]
               [number (in-naturals 1)])
      (unless (= t on-needle)
        (raise-syntax-error
         'define-pattern
         (~a "row " number " works " t " stitches, but " on-needle
             " are on the needle")
         whole stx))
      m)))

(define-syntax (define-pattern stx)
  (syntax-parse stx
    [(_ name:id #:cast-on n:exact-positive-integer r:row ...+)
     (check-rows! stx (syntax-e #'n) (syntax->list #'(r ...))
                  (attribute r.takes) (attribute r.makes))
     #'(define name (pattern 'name n (list r.code ...)))]))

;; ----------------------------------------------------------------- run time

;; Stitches on the needle after the given number of rows.
(define (pattern-width-after p row-count)
  (for/fold ([width (pattern-cast-on p)])
            ([row (in-list (take (pattern-rows p) row-count))])
    (apply + (map stitch-makes row))))

;; Charts are read from the bottom right, the way the knitting grows, and even
;; rows from the left. Seen from the front, a purl on the back is a knit.
(define (print-chart p [out (current-output-port)])
  (define flip (hash "k" "-" "-" "k"))
  (define lines
    (for/list ([row (in-list (pattern-rows p))] [number (in-naturals 1)])
      (define symbols (map stitch-symbol row))
      (define seen
        (if (odd? number)
            (reverse symbols)
            (for/list ([s (in-list symbols)]) (hash-ref flip s s))))
      (chart-line number (string-join seen ""))))
  (define width (apply max (map string-length lines)))
  (for ([line (in-list (reverse lines))])
    (define pad (quotient (- width (string-length line)) 2))
    (fprintf out "~a~a\n" (make-string pad #\space) line)))

(define (chart-line number symbols)
  (if (odd? number)
      (format "~a ~a" symbols number)
      (format "~a ~a" number symbols)))

(module+ main
  (define-pattern shell-edge
    #:cast-on 9
    (row (k 9))
    (row (p 9))
    (row (k 2) (repeat 2 yo k2tog) yo (k 3))
    (row (p 10))
    (row (k 3) (repeat 2 yo (k 1)) yo ssk (k 3))
    (row (k 12))
    (row (bind-off 12)))
  (print-chart shell-edge))
