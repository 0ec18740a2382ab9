(ns puzzle.mini-logic
  "A relational engine in the miniKanren family, with disequality and a search that
  interleaves branches, applied to a small seating puzzle.

  A goal is a function from a state to a lazy stream of states. A stream is nil,
  a [state . stream] pair, or a thunk: thunks are what allows the search to switch
  between branches, so one infinite branch cannot starve the others."
  (:refer-clojure :exclude [==]))

(defrecord LVar [id])
(defrecord State [bindings disequal counter])
(def empty-state (->State {} [] 0))

(defn lvar? [x] (instance? LVar x))

(defn walk [bindings x]
  (if-let [[_ v] (and (lvar? x) (find bindings x))]
    (recur bindings v)
    x))

(defn- occurs? [bindings v x]
  (let [x (walk bindings x)]
    (cond
      (lvar? x) (= v x)
      (sequential? x) (some #(occurs? bindings v %) x))))

(defn- bind-var [bindings v x]
  (when-not (occurs? bindings v x) (assoc bindings v x)))

(defn unify
  "The extended bindings, or nil when `a` and `b` cannot be made equal."
  [bindings a b]
  (let [a (walk bindings a), b (walk bindings b)]
    (cond
      (= a b) bindings
      (lvar? a) (bind-var bindings a b)
      (lvar? b) (bind-var bindings b a)
      (and (sequential? a) (sequential? b) (= (count a) (count b)))
      (reduce (fn [bs [x y]] (or (unify bs x y) (reduced nil))) bindings (map vector a b)))))

;; --- Streams -------------------------------------------------------------------

(defn- mplus [s1 s2]
  (cond
    (nil? s1) s2
    (fn? s1) (fn [] (mplus s2 (s1)))          ; swapped: this is the interleaving
    :else [(first s1) (fn [] (mplus s2 (second s1)))]))

(defn- bind [stream goal]
  (cond
    (nil? stream) nil
    (fn? stream) (fn [] (bind (stream) goal))
    :else (mplus (goal (first stream)) (fn [] (bind (second stream) goal)))))

(defn- stream-seq [stream]
  (lazy-seq
   (when-let [[state more] (if (fn? stream) (trampoline stream) stream)]
     (cons state (stream-seq more)))))

;; --- Goals ---------------------------------------------------------------------

(defn- consistent?
  "A disequality is broken when its two sides are equal without further bindings."
  [{:keys [bindings disequal]}]
  (not-any? (fn [[a b]] (identical? bindings (unify bindings a b))) disequal))

(defn ==
  [a b]
  (fn [state]
    (when-let [bindings (unify (:bindings state) a b)]
      (let [state (assoc state :bindings bindings)]
        (when (consistent? state) [state nil])))))

(defn !=
  [a b]
  (fn [state]
    (let [state (update state :disequal conj [a b])]
      (when (consistent? state) [state nil]))))

(defn call-fresh [f]
  (fn [{:keys [counter] :as state}]
    ((f (->LVar counter)) (update state :counter inc))))

(defn all-of [& goals]
  (fn [state] (reduce bind [state nil] goals)))

(defn any-of [& goals]
  (fn [state] (reduce mplus (map (fn [g] (fn [] (g state))) goals))))

(defmacro fresh
  "New logic variables with the given names for the goals in the body."
  [[v & vs] & body]
  (if v
    `(call-fresh (fn [~v] (fresh ~vs ~@body)))
    `(all-of ~@body)))

(defmacro defrel
  "A relation. The body is delayed, so that relations may be recursive."
  [name args & body]
  `(defn ~name ~args
     (fn [state#] (fn [] ((all-of ~@body) state#)))))

(defn reify-term [{:keys [bindings]} x]
  (let [x (walk bindings x)]
    (cond
      (lvar? x) (symbol (str "_" (:id x)))
      (sequential? x) (mapv #(reify-term {:bindings bindings} %) x)
      :else x)))

(defmacro run*
  "Lazy sequence of all values of `q` for which the goals hold."
  [[q] & goals]
  `(let [~q (->LVar -1)]
     (map #(reify-term % ~q) (stream-seq ((all-of ~@goals) empty-state)))))

;; --- A puzzle --------------------------------------------------------------------

(defn member-of [x options]
  (apply any-of (map #(== x %) options)))

(defn distinct-all [xs]
  (apply all-of (for [[i a] (map-indexed vector xs), b (drop (inc i) xs)] (!= a b))))

(defn next-to
  "Seats `a` and `b` of a round table with `n` seats touch."
  [n a b]
  (apply any-of (for [i (range n), d [1 (dec n)]]
                  (all-of (== a i) (== b (mod (+ i d) n))))))

(defrel pathto [edges from to]
  (any-of (== from to)
          (fresh [via]
            (member-of [from via] edges)
            (pathto edges via to))))

(defn seatings
  "Five guests: Ada not next to Bo, Cleo next to Dan, Eve next to Ada, Bo at seat 0."
  []
  (run* [q]
    (fresh [ada bo cleo dan eve]
      (== q [ada bo cleo dan eve])
      (== bo 0)
      (next-to 5 cleo dan)
      (next-to 5 eve ada)
      (distinct-all [ada bo cleo dan eve])
      (member-of ada [2 3])))) ; seats 1 and 4 touch Bo

(defn -main [& _]
  (doseq [s (seatings)] (println (zipmap '[ada bo cleo dan eve] s)))
  (println "reachable:" (distinct (take 5 (run* [q] (pathto [[:a :b] [:b :c] [:c :a]] :a q))))))
