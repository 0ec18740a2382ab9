;;;; Wire formats as forms.
;;;;
;;;; DEFINE-MESSAGE turns one description of a binary message into a class, an
;;;; encoder and a decoder.  All offsets that can be known at macroexpansion
;;;; time are folded into constants, so a fixed-size message is decoded by a
;;;; straight line of array references.
;;;;
;;;;   (define-message tracker-fix (:type-code #x21)
;;;;     (device   :u32)
;;;;     (seconds  :u32)
;;;;     (altitude :s16 :scale 1/4)
;;;;     (flags    (:bits (valid 1) (charging 1) (satellites 6)))
;;;;     (note     (:string :u8)))

(defpackage :wire
  (:use :cl)
  (:export #:define-message #:encode #:decode #:short-message))

(in-package :wire)

(deftype octets () '(simple-array (unsigned-byte 8) (*)))

(define-condition short-message (error)
  ((needed :initarg :needed) (got :initarg :got))
  (:report (lambda (c s)
             (with-slots (needed got) c
               (format s "message needs ~d octets, only ~d arrived" needed got)))))

(defgeneric encode (message)
  (:documentation "Return MESSAGE as a fresh vector of octets, type code first."))

(defvar *decoders* (make-hash-table) "Type code -> decoding function.")

(defun decode (octets)
  (declare (type octets octets))
  (when (zerop (length octets)) (error 'short-message :needed 1 :got 0))
  (let ((decoder (gethash (aref octets 0) *decoders*)))
    (unless decoder
      (error "no message has type code #x~2,'0x" (aref octets 0)))
    (funcall (the function decoder) octets)))

(eval-when (:compile-toplevel :load-toplevel :execute)
  (defun width (type)
    "Octets of an integer type, or NIL for any other."
    (case type ((:u8 :s8) 1) ((:u16 :s16) 2) (:u24 3) ((:u32 :s32) 4)))

  (defun signed-p (type) (member type '(:s8 :s16 :s32)))

  (defun fetch-form (vector offset type)
    "Form that assembles a big-endian integer of TYPE."
    (let* ((n (width type))
           (raw `(logior
                  ,@(loop for i below n
                          collect `(ash (aref ,vector (+ ,offset ,i))
                                        ,(* 8 (- n i 1)))))))
      (if (signed-p type)
          (let ((v (gensym "RAW")) (half (ash 1 (1- (* 8 n)))))
            `(let ((,v ,raw)) (if (>= ,v ,half) (- ,v ,(* 2 half)) ,v)))
          raw)))

  (defun emit-form (value type)
    "Form that pushes VALUE, an integer, onto the output buffer OUT."
    (let ((v (gensym "VALUE")) (n (width type)))
      `(let ((,v ,value))
         (check-type ,v ,(if (signed-p type)
                             `(signed-byte ,(* 8 n))
                             `(unsigned-byte ,(* 8 n))))
         ,@(loop for i from (1- n) downto 0
                 collect `(vector-push-extend (ldb (byte 8 ,(* 8 i)) ,v) out)))))

  (defun bit-layout (fields)
    "((name size position) ...), first field in the most significant bits."
    (loop with top = (reduce #'+ fields :key #'second)
          initially (unless (= top 8)
                      (error "bit fields ~s fill ~d bits, not 8" fields top))
          for (name size) in fields
          do (decf top size)
          collect (list name size top)))

  (defun slots-of (field)
    (destructuring-bind (name type &key &allow-other-keys) field
      (if (and (consp type) (eq (first type) :bits))
          (mapcar #'first (rest type))
          (list name))))

  (defun decode-field (field body)
    "Wrap BODY, a list of forms, in bindings for the slots of FIELD."
    (destructuring-bind (name type &key (scale 1)) field
      (cond ((width type)
             `((need ,(width type))
               (let ((,name (* ,scale ,(fetch-form 'octets 'at type))))
                 (incf at ,(width type))
                 ,@body)))
            ((eq (first type) :bits)
             `((need 1)
               (let ,(loop for (slot size position) in (bit-layout (rest type))
                           collect `(,slot (ldb (byte ,size ,position)
                                                (aref octets at))))
                 (incf at)
                 ,@body)))
            ((eq (first type) :string)
             (let ((prefix (width (second type))))
               `((need ,prefix)
                 (let ((size ,(fetch-form 'octets 'at (second type))))
                   (incf at ,prefix)
                   (need size)
                   (let ((,name (map 'string #'code-char
                                     (subseq octets at (+ at size)))))
                     (incf at size)
                     ,@body)))))
            (t (error "unknown field type ~s" type)))))

  (defun encode-field (field)
    (destructuring-bind (name type &key (scale 1)) field
      (cond ((width type) (emit-form `(round ,name ,scale) type))
            ((eq (first type) :bits)
             (emit-form `(logior ,@(loop for (slot nil position)
                                           in (bit-layout (rest type))
                                         collect `(ash ,slot ,position)))
                        :u8))
            (t `(progn ,(emit-form `(length ,name) (second type))
                       (loop for c across ,name
                             do (vector-push-extend (char-code c) out))))))))

(defmacro define-message (class (&key type-code) &body fields)
  (let ((slots (mapcan #'slots-of fields))
        (decoder (intern (format nil "DECODE-~a" class))))
    `(progn
       (defclass ,class ()
         ,(loop for s in slots
                collect `(,s :initarg ,(intern (string s) :keyword) :reader ,s)))
       (defmethod encode ((message ,class))
         (let ((out (make-array 16 :element-type '(unsigned-byte 8)
                                   :adjustable t :fill-pointer 0)))
           (vector-push-extend ,type-code out)
           (with-slots ,slots message ,@(mapcar #'encode-field fields))
           (coerce out 'octets)))
       (defun ,decoder (octets &aux (at 1))
         (declare (type octets octets) (type fixnum at))
         (flet ((need (n)
                  (when (> (+ at n) (length octets))
                    (error 'short-message :needed (+ at n) :got (length octets)))))
           ,@(reduce #'decode-field fields :from-end t
                     :initial-value
                     `((make-instance ',class
                         ,@(loop for s in slots
                                 collect (intern (string s) :keyword)
                                 collect s))))))
       (setf (gethash ,type-code *decoders*) #',decoder)
       ',class)))
