;;;; ledger-import.lisp -- read a bank statement, with repairs left to the caller
;;;;
;;;; The importer knows how a record can be broken and how it could be mended;
;;;; it does not know what the user wants.  So every problem is signalled as a
;;;; condition while the stack is still intact, with restarts that continue the
;;;; import in different ways, and policy lives entirely in the handlers.

(defpackage :ledger-import
  (:use :common-lisp)
  (:export #:import-statement #:call-with-policy #:entry #:entry-amount
           #:entry-date #:entry-text #:malformed-field #:skip-record #:use-field))

(in-package :ledger-import)

(defstruct (entry (:constructor make-entry (date amount text)))
  (date nil :type (unsigned-byte 32))     ; YYYYMMDD, sorts as a number
  (amount 0 :type integer)                ; in cents; floats have no place here
  (text "" :type string))

(define-condition statement-problem (error)
  ((line-number :initarg :line-number :reader problem-line)))

(define-condition malformed-field (statement-problem)
  ((field :initarg :field :reader problem-field)
   (raw :initarg :raw :reader problem-raw))
  (:report (lambda (c stream)
             (format stream "line ~d: ~(~a~) cannot be read from ~s"
                     (problem-line c) (problem-field c) (problem-raw c)))))

(define-condition wrong-column-count (statement-problem)
  ((found :initarg :found :reader problem-found))
  (:report (lambda (c stream)
             (format stream "line ~d: ~r column~:p where three were expected"
                     (problem-line c) (problem-found c)))))

(defvar *line-number* 0 "Line being read, for error messages.")

(defun split-columns (line &optional (separator #\;))
  (loop with start = 0
        for end = (position separator line :start start)
        collect (string-trim " " (subseq line start end))
        while end do (setf start (1+ end))))

;;; A field parser returns its value, or NIL when it cannot.  PARSE-FIELD then
;;; offers USE-FIELD, which is retried from the top: a replacement typed by
;;; hand can be wrong too.

(defun parse-field (field raw parser)
  (loop
    (restart-case
        (return (or (funcall parser raw)
                    (error 'malformed-field :line-number *line-number*
                                            :field field :raw raw)))
      (use-field (replacement)
        :report (lambda (stream) (format stream "Supply another ~(~a~)." field))
        :interactive (lambda ()
                       (format *query-io* "~&~a: " field)
                       (finish-output *query-io*)
                       (list (read-line *query-io*)))
        (setf raw replacement)))))

(defun parse-date (raw)
  "Accept 31.12.2029 and 2029-12-31."
  (flet ((digits (start end)
           (parse-integer raw :start start :end end :junk-allowed t)))
    (when (= (length raw) 10)
      (multiple-value-bind (year month day)
          (if (char= (char raw 4) #\-)
              (values (digits 0 4) (digits 5 7) (digits 8 10))
              (values (digits 6 10) (digits 3 5) (digits 0 2)))
        (when (and year month day (<= 1 month 12) (<= 1 day 31))
          (+ (* 10000 year) (* 100 month) day))))))

(defun parse-amount (raw)
  "Cents from 1.234,56 or -12,5 or 7; NIL if there is any doubt."
  (let* ((clean (remove #\. raw))
         (comma (position #\, clean))
         (negative (and (plusp (length clean)) (char= (char clean 0) #\-)))
         (start (if negative 1 0))
         (whole (subseq clean start comma))
         (cents (if comma (subseq clean (1+ comma)) "")))
    (when (and (plusp (length whole))
               (every #'digit-char-p whole)
               (every #'digit-char-p cents)
               (<= (length cents) 2))
      (let ((value (+ (* 100 (parse-integer whole))
                      (if (string= cents "")
                          0
                          (* (parse-integer cents)
                             (expt 10 (- 2 (length cents))))))))
        (if negative (- value) value)))))

(defun parse-record (line)
  (let ((columns (split-columns line)))
    (unless (= (length columns) 3)
      (error 'wrong-column-count :line-number *line-number*
                                 :found (length columns)))
    (destructuring-bind (date amount text) columns
      (make-entry (parse-field :date date #'parse-date)
                  (parse-field :amount amount #'parse-amount)
                  text))))

(defun import-statement (stream)
  "Return the entries in STREAM in order of date, and the number skipped."
  (let ((entries '()) (skipped 0))
    (loop for *line-number* from 1
          for line = (read-line stream nil)
          while line
          unless (zerop (length (string-trim " " line)))
            do (restart-case (push (parse-record line) entries)
                 (skip-record ()
                   :report "Leave this record out."
                   (incf skipped))))
    (values (stable-sort (nreverse entries) #'< :key #'entry-date) skipped)))

(defun call-with-policy (thunk &key (on-bad-record :stop) amount-repair)
  "Run THUNK.  AMOUNT-REPAIR maps the raw text of a bad amount to a better one
or to NIL; ON-BAD-RECORD is :SKIP or :STOP."
  (handler-bind
      ((malformed-field
         (lambda (c)
           (when (and amount-repair (eq (problem-field c) :amount))
             (let ((better (funcall amount-repair (problem-raw c))))
               (when (and better (string/= better (problem-raw c)))
                 (invoke-restart 'use-field better))))))
       (statement-problem
         (lambda (c)
           (when (eq on-bad-record :skip)
             (format *error-output* "~&skipped: ~a~%" c)
             (invoke-restart 'skip-record)))))
    (funcall thunk)))
