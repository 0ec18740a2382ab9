(ns telemetry.ring-buffer
  "A persistent ring buffer: a vector of fixed capacity that forgets its oldest
  element when a new one is added to a full buffer.

  It is a first-class Clojure collection. It prints, compares and hashes like a
  vector, works with conj, nth, peek, pop, seq, rseq, reduce and destructuring, and
  carries metadata."
  (:import (clojure.lang Counted Indexed IObj IPersistentCollection IPersistentStack
                         IReduce IReduceInit Reversible Seqable Sequential IHashEq Util)
           (java.util Collection)))

(set! *warn-on-reflection* true)

(declare empty-buffer)

;; `slots` is an ordinary vector that grows up to the capacity. `start` is the
;; position of the oldest element, and always 0 while the buffer is not yet full.
(deftype RingBuffer [^long capacity ^long start slots mta]

  Counted
  (count [_] (count slots))

  Sequential

  Indexed
  (nth [this i]
    (if (< -1 i (count slots))
      (nth slots (mod (+ start i) (count slots)))
      (throw (IndexOutOfBoundsException. (str "index " i ", size " (count this))))))
  (nth [this i not-found]
    (if (< -1 i (count slots)) (.nth this i) not-found))

  IPersistentCollection
  (cons [_ x]
    (if (< (count slots) capacity)
      (RingBuffer. capacity start (conj slots x) mta)
      (RingBuffer. capacity (mod (inc start) capacity) (assoc slots start x) mta)))
  (empty [_] (with-meta (empty-buffer capacity) mta))
  (equiv [this other]
    (and (sequential? other)
         (= (count this) (count other))
         (every? true? (map = (seq this) (seq other)))))

  ;; A stack of which the newest element is the top, as with vectors.
  IPersistentStack
  (peek [this] (when (pos? (count slots)) (.nth this (dec (count slots)))))
  (pop [this]
    (when (zero? (count slots))
      (throw (IllegalStateException. "Can't pop an empty ring buffer")))
    ;; The remaining elements are put in order, so the invariant on start holds.
    (RingBuffer. capacity 0 (into [] (take (dec (count slots))) (seq this)) mta))

  Seqable
  (seq [this]
    (when (pos? (count slots))
      (map #(.nth this %) (range (count slots)))))

  Reversible
  (rseq [this]
    (when (pos? (count slots))
      (map #(.nth this %) (range (dec (count slots)) -1 -1))))

  IReduceInit
  (reduce [this f init]
    (let [n (count slots)]
      (loop [i 0, acc init]
        (cond
          (reduced? acc) @acc
          (= i n) acc
          :else (recur (inc i) (f acc (.nth this i)))))))

  IReduce
  (reduce [this f]
    (case (count slots)
      0 (f)
      1 (.nth this 0)
      (reduce f (.nth this 0) (rest (seq this)))))

  IObj
  (meta [_] mta)
  (withMeta [_ m] (RingBuffer. capacity start slots m))

  IHashEq
  (hasheq [this] (hash (vec (seq this))))

  Object
  (hashCode [this] (.hashCode ^Object (vec (seq this))))
  (equals [this other]
    (boolean (or (identical? this other)
                 (and (or (instance? Collection other) (sequential? other))
                      (= (count this) (count other))
                      (every? true? (map #(Util/equals %1 %2) (seq this) (seq other)))))))
  (toString [this] (pr-str (vec (seq this)))))

(defmethod print-method RingBuffer [^RingBuffer b ^java.io.Writer w]
  (.write w (str "#ring/" (.-capacity b) " "))
  (print-method (vec (seq b)) w))

(defn empty-buffer
  "A buffer without elements that will hold at most `capacity` of them."
  [capacity]
  {:pre [(pos-int? capacity)]}
  (RingBuffer. capacity 0 [] nil))

(defn ring-buffer
  "The last `capacity` elements of `coll`."
  [capacity coll]
  (into (empty-buffer capacity) coll))

(defn full? [^RingBuffer b]
  (= (count b) (.-capacity b)))

(defn windowed
  "Transducer: the moving windows of `n` neighbouring inputs, each as a buffer.
  Windows share structure, and the window is the same object shape throughout, so
  no window is copied."
  [n]
  (fn [rf]
    (let [window (volatile! (empty-buffer n))]
      (fn
        ([] (rf))
        ([result] (rf result))
        ([result input]
         (let [w (vswap! window conj input)]
           (if (full? w) (rf result w) result)))))))

(defn moving-average
  "Lazy sequence of the averages over `n` samples."
  [n samples]
  (sequence (comp (windowed n) (map #(/ (reduce + %) n))) samples))

(comment
  (ring-buffer 3 [1 2 3 4 5])              ;=> #ring/3 [3 4 5]
  (= [3 4 5] (ring-buffer 3 (range 6)))    ;=> true
  (let [[a b] (ring-buffer 2 [7 8 9])] (+ a b)) ;=> 17
  (moving-average 4 [10 20 30 40 50]))     ;=> (25 35)
