#lang racket/base

;; Merge several growing log files into one stream, in order of time.
;;
;;   racket log-funnel.rkt --window 2 --level warn a.log b.log
;;   racket log-funnel.rkt --once *.log > merged.log
;;
;; Lines begin with seconds since the epoch and a level:
;;
;;   1893456000.250 warn disk nearly full
;;
;; One thread follows each file and sends what it reads over a channel. The
;; collector keeps lines in a reorder buffer for `window` seconds, because
;; writers flush at different times, and then lets them out sorted. A line that
;; comes later than that is still printed, but marked, as dropping it would hide
;; exactly the slow writer that one is usually looking for.

(require racket/cmdline
         racket/list
         racket/match
         racket/string)

(struct entry (time level source text))

(define levels '("debug" "info" "warn" "error"))

(define window (make-parameter 1.0))
(define threshold (make-parameter "debug"))
(define follow? (make-parameter #t))

(define (severity level)
  (or (index-of levels level) 0))

;; A line without a time stamp continues the entry before it, such as a stack
;; trace, so it inherits that entry's time and level.
(define (parse-line line source previous)
  (match (regexp-match #px"^(\\d+(?:\\.\\d+)?)\\s+([a-z]+)\\s(.*)$" line)
    [(list _ stamp level text)
     #:when (member level levels)
     (entry (string->number stamp 10) level source text)]
    [_ (entry (if previous (entry-time previous) 0)
              (if previous (entry-level previous) "info")
              source
              (string-append "  | " line))]))

;; Follow one file. A file that became shorter was rotated: start over. Partial
;; lines are held back until their newline arrives.
(define (follow path out)
  (define source (let-values ([(base name dir?) (split-path path)])
                   (path->string name)))
  (define (read-from position previous)
    (call-with-input-file path
      (λ (in)
        (file-position in position)
        (let loop ([position position] [previous previous])
          (define line (read-line in 'linefeed))
          (cond
            [(eof-object? line) (values position previous)]
            [(and (follow?) (eof-object? (peek-byte in))
                  (not (complete? path position line)))
             (values position previous)]
            [else
             (define e (parse-line (string-trim line "\r" #:left? #f)
                                   source previous))
             (channel-put out e)
             (loop (file-position in) e)])))))
  (let poll ([position 0] [previous #f])
    (define size (if (file-exists? path) (file-size path) 0))
    (define-values (next last)
      (if (> size 0)
          (read-from (if (< size position) 0 position) previous)
          (values 0 previous)))
    (when (follow?)
      (sleep 0.2)
      (poll next last)))
  (channel-put out 'done))

(define (complete? path position line)
  (< (+ position (bytes-length (string->bytes/utf-8 line)))
     (file-size path)))

(define (emit e late?)
  (when (>= (severity (entry-level e)) (severity (threshold)))
    (printf "~a ~a [~a] ~a~a\n"
            (entry-time e) (entry-level e) (entry-source e)
            (if late? "(late) " "") (entry-text e))
    (flush-output)))

;; `held` is sorted by time. Release everything older than the newest time seen
;; less the window; when nothing arrives for a whole window, release it all.
(define (collect in sources)
  (let loop ([held '()] [newest 0] [released 0] [alive sources])
    (define message
      (cond [(zero? alive) 'quiet]
            [else (or (sync/timeout (window) in) 'quiet)]))
    (match message
      ['done (loop held newest released (sub1 alive))]
      ['quiet
       (for ([e (in-list held)]) (emit e (< (entry-time e) released)))
       (unless (zero? alive)
         (loop '() newest (if (null? held) released newest) alive))]
      [(? entry? e)
       (define now (max newest (entry-time e)))
       (define horizon (if (follow?) (- now (window)) -inf.0))
       (define-values (ready waiting)
         (splitf-at (insert e held) (λ (x) (< (entry-time x) horizon))))
       (for ([r (in-list ready)]) (emit r (< (entry-time r) released)))
       (loop waiting now
             (if (null? ready) released (max released (entry-time (last ready))))
             alive)])))

;; Stable insertion from the back would be better for long buffers; a window
;; holds a few dozen lines.
(define (insert e held)
  (define-values (before after)
    (splitf-at held (λ (x) (<= (entry-time x) (entry-time e)))))
  (append before (cons e after)))

(module+ main
  (define paths
    (command-line
     #:program "log-funnel"
     #:once-each
     [("-w" "--window") seconds "seconds to wait for slow writers"
                        (window (or (string->number seconds)
                                    (raise-user-error "--window needs a number")))]
     [("-l" "--level") level "least level to print"
                       (unless (member level levels)
                         (raise-user-error "level is one of" (string-join levels)))
                       (threshold level)]
     [("--once") "read what is there and stop" (follow? #f)]
     #:args (path . more)
     (cons path more)))
  (define channel (make-channel))
  (for ([path (in-list paths)])
    (thread (λ () (follow (string->path path) channel))))
  (collect channel (length paths)))
