;;;; range-coder.lisp -- adaptive arithmetic coding of octet sequences
;;;;
;;;; The model is order 1: the distribution of each octet is conditioned on
;;;; the octet before it.  Frequencies live in Fenwick trees, so both coding a
;;;; symbol and learning from it take eight steps.  The coder is the carryless
;;;; range coder with 32-bit registers; encoder and decoder share the model and
;;;; must update it identically, which is why there is only one UPDATE.

(defpackage :range-coder
  (:use :cl)
  (:export #:compress #:decompress))

(in-package :range-coder)

(deftype octets () '(simple-array (unsigned-byte 8) (*)))
(deftype u32 () '(unsigned-byte 32))
(deftype counts () '(simple-array (unsigned-byte 32) (257)))

(defconstant +top+ (ash 1 24))
(defconstant +bottom+ (ash 1 16))
(defconstant +limit+ (ash 1 14) "Halve a context once its total passes this.")

(declaim (inline wrap))
(defun wrap (x) (ldb (byte 32 0) x))

;;; ---------------------------------------------------------------- model

(defun fresh-context ()
  "A Fenwick tree over 256 symbols, each with frequency one."
  (let ((tree (make-array 257 :element-type '(unsigned-byte 32))))
    (loop for i from 1 to 256 do (setf (aref tree i) (logand i (- i))))
    tree))

(defun cumulative (tree symbol)
  "Total frequency of the symbols below SYMBOL."
  (declare (type counts tree) (type (integer 0 256) symbol)
           (optimize (speed 3) (safety 0)))
  (loop with sum of-type u32 = 0
        for i of-type fixnum = symbol then (logand i (1- i))
        while (plusp i)
        do (incf sum (aref tree i))
        finally (return sum)))

(defun find-symbol-at (tree target)
  "The symbol whose interval contains the cumulative frequency TARGET."
  (declare (type counts tree) (type u32 target)
           (optimize (speed 3) (safety 0)))
  (let ((position 0))
    (declare (type (integer 0 512) position))
    (loop for step of-type fixnum = 256 then (ash step -1)
          while (plusp step)
          do (let ((next (+ position step)))
               (when (and (<= next 256) (<= (aref tree next) target))
                 (decf target (aref tree next))
                 (setf position next))))
    position))

(defun update (tree symbol)
  (declare (type counts tree) (type (unsigned-byte 8) symbol))
  (flet ((add (s amount)
           (loop for i = (1+ s) then (+ i (logand i (- i)))
                 while (<= i 256)
                 do (incf (aref tree i) amount))))
    (add symbol 24)
    (when (> (cumulative tree 256) +limit+)
      ;; Rebuild from halved frequencies; rounding up keeps every symbol
      ;; possible, which the decoder relies on.
      (let ((halved (loop for s below 256
                          collect (ceiling (- (cumulative tree (1+ s))
                                              (cumulative tree s))
                                           2))))
        (fill tree 0)
        (loop for s from 0
              for f in halved do (add s f))))))

(defun make-model ()
  (map-into (make-array 256) #'fresh-context))

;;; ---------------------------------------------------------------- coder

(defun settled-p (low range)
  "True while the top octet of LOW can no longer change."
  (declare (type u32 low range))
  (< (logxor low (wrap (+ low range))) +top+))

(defmacro shift-while-settled ((low range) &body per-octet)
  "Renormalise.  When LOW straddles a carry but RANGE has become too small to
code with, RANGE is cut back to the boundary instead of propagating a carry."
  `(loop
     (cond ((settled-p ,low ,range))
           ((< ,range +bottom+)
            (setf ,range (logand (wrap (- ,low)) (1- +bottom+))))
           (t (return)))
     ,@per-octet
     (setf ,low (wrap (ash ,low 8))
           ,range (wrap (ash ,range 8)))))

(defun compress (input)
  "Return INPUT, a vector of octets, compressed; its length goes first."
  (let ((out (make-array 64 :element-type '(unsigned-byte 8)
                            :adjustable t :fill-pointer 0))
        (model (make-model))
        (low 0)
        (range #xFFFFFFFF)
        (previous 0))
    (declare (type u32 low range))
    (loop for shift in '(24 16 8 0)
          do (vector-push-extend (ldb (byte 8 shift) (length input)) out))
    (loop for octet across input
          for tree = (aref model previous)
          do (let* ((below (cumulative tree octet))
                    (width (- (cumulative tree (1+ octet)) below)))
               (setf range (floor range (cumulative tree 256))
                     low (wrap (+ low (* below range)))
                     range (* range width))
               (shift-while-settled (low range)
                 (vector-push-extend (ash low -24) out))
               (update tree octet)
               (setf previous octet)))
    (loop repeat 4
          do (vector-push-extend (ash low -24) out)
             (setf low (wrap (ash low 8))))
    (coerce out 'octets)))

(defun decompress (input)
  (let* ((at 0) (low 0) (range #xFFFFFFFF) (code 0) (previous 0)
         (model (make-model)))
    (declare (type u32 low range code))
    (flet ((next ()
             (prog1 (if (< at (length input)) (aref input at) 0) (incf at))))
      (let* ((size (loop repeat 4
                         for n = (next) then (logior (ash n 8) (next))
                         finally (return n)))
             (output (make-array size :element-type '(unsigned-byte 8))))
        (loop repeat 4 do (setf code (wrap (logior (ash code 8) (next)))))
        (dotimes (i size output)
          (let ((tree (aref model previous)))
            (setf range (floor range (cumulative tree 256)))
            (let* ((target (min (1- (cumulative tree 256))
                                (floor (wrap (- code low)) range)))
                   (octet (find-symbol-at tree target))
                   (below (cumulative tree octet))
                   (width (- (cumulative tree (1+ octet)) below)))
              (setf low (wrap (+ low (* below range)))
                    range (* range width))
              (shift-while-settled (low range)
                (setf code (wrap (logior (ash code 8) (next)))))
              (update tree octet)
              (setf (aref output i) octet
                    previous octet))))))))
