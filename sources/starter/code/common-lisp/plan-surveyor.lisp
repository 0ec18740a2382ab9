;;;; plan-surveyor.lisp -- quantities from a building description, in CLOS
;;;;
;;;; Three features of CLOS carry the design: multiple dispatch on (element,
;;;; trade), a method combination of our own that adds up what every class in
;;;; the precedence list contributes, and :AROUND methods for corrections that
;;;; must see the total.

(defpackage :surveyor
  (:use :cl)
  (:export #:bill #:wall #:slab #:opening #:lime-plaster #:brickwork #:joinery))

(in-package :surveyor)

;;; Elements --------------------------------------------------------------

(defclass element ()
  ((name :initarg :name :reader name)
   (children :initarg :children :initform '() :reader children)))

(defclass planar (element)
  ((width :initarg :width :reader width)        ; metres
   (height :initarg :height :reader height)))

(defclass wall (planar)
  ((thickness :initarg :thickness :initform 0.24 :reader thickness)
   (faces :initarg :faces :initform 2 :reader faces)))

(defclass curved (planar)
  ((radius :initarg :radius :reader radius))
  (:documentation "Mixin: anything bent in plan costs more to make."))

(defclass curved-wall (curved wall) ())

(defclass slab (planar) ())

(defclass opening (planar)
  ((reveal :initarg :reveal :initform 0.18 :reader reveal)))

;;; Trades are classes without slots: all we do with them is dispatch ----------

(defclass trade () ())
(defclass brickwork (trade) ())
(defclass lime-plaster (trade) ())
(defclass joinery (trade) ())

(defun area (p)
  (* (width p) (height p)))

;;; Quantities: every applicable method speaks, and the answers are summed -----

(define-method-combination total ()
  ((around (:around))
   (parts (total) :required t))
  "Sum of the TOTAL methods, each counted once, inside any :AROUND methods."
  (let ((sum `(+ ,@(mapcar (lambda (m) `(call-method ,m)) parts))))
    (if around
        `(call-method ,(first around) (,@(rest around) (make-method ,sum)))
        sum)))

(defgeneric quantity (element trade)
  (:method-combination total)
  (:documentation "Amount of work for TRADE in ELEMENT, without its children."))

(defmethod quantity total ((e element) (trade trade))
  0)

(defmethod quantity total ((w wall) (trade brickwork))
  (* (- (area w) (opening-area w)) (thickness w)))       ; cubic metres

(defmethod quantity total ((w wall) (trade lime-plaster))
  (* (faces w)                                           ; square metres
     ;; By the usual rules of measurement an opening below 2.5 m2 is not
     ;; deducted: the labour at its edges makes up for the material saved.
     (- (area w) (opening-area w :at-least 2.5))))

(defmethod quantity total ((s slab) (trade lime-plaster))
  (area s))

(defmethod quantity total ((o opening) (trade lime-plaster))
  "Reveals, three sides, where the opening was deducted from the wall."
  (if (>= (area o) 2.5)
      (* (reveal o) (+ (width o) (* 2 (height o))))
      0))

(defmethod quantity total ((o opening) (trade joinery))
  1)

(defmethod quantity :around ((c curved) (trade trade))
  "Tighter curves mean more cutting: up to 60 % extra at one metre."
  (* (call-next-method)
     (+ 1 (/ 0.6 (max 1 (radius c))))))

(defun opening-area (wall &key (at-least 0))
  (loop for c in (children wall)
        when (and (typep c 'opening) (>= (area c) at-least))
          sum (area c)))

;;; The bill --------------------------------------------------------------

(defgeneric unit (trade)
  (:method ((trade brickwork)) "m3")
  (:method ((trade lime-plaster)) "m2")
  (:method ((trade joinery)) "no."))

(defun walk (function element)
  (funcall function element)
  (dolist (child (children element))
    (walk function child)))

(defun bill (root &key (trades '(brickwork lime-plaster joinery))
                       (stream *standard-output*))
  "Print the quantities below ROOT; return an alist of trade and total."
  (loop for class in trades
        for trade = (make-instance class)
        for lines = '()
        for sum = 0
        do (walk (lambda (e)
                   (let ((q (quantity e trade)))
                     (unless (zerop q)
                       (push (cons (name e) q) lines)
                       (incf sum q))))
                 root)
           (format stream "~&~:(~a~)~%~:{  ~24a ~10,2f~%~}  ~24a ~10,2f ~a~2%"
                   (substitute #\Space #\- (string class))
                   (mapcar (lambda (l) (list (car l) (cdr l))) (reverse lines))
                   "TOTAL" sum (unit trade))
        collect (cons class sum)))

(defun sample-house ()
  (flet ((window (name w h)
           (make-instance 'opening :name name :width w :height h)))
    (make-instance 'element
      :name "house"
      :children
      (list (make-instance 'wall :name "south wall" :width 9.6 :height 2.9
                                 :thickness 0.365
                                 :children (list (window "terrace door" 2.4 2.2)
                                                 (window "kitchen window" 1.2 1.1)))
            (make-instance 'curved-wall :name "stair drum" :width 5.5 :height 5.8
                                        :radius 1.75)
            (make-instance 'slab :name "living room ceiling"
                                 :width 9.1 :height 5.4)))))
