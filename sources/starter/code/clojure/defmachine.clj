(ns control.defmachine
  "State machines as a macro. The definition is checked while it is compiled: a
  transition to a state that does not exist, a state that cannot be reached or a
  handler for an undeclared event does not get past the compiler.

      (defmachine door
        \"A door with an electric lock.\"
        {:initial :closed
         :events #{:push :pull :lock :unlock}}
        (:closed
          (:pull -> :open)
          (:lock [code] -> :locked (assoc :code code)))
        (:open
          (:push -> :closed))
        (:locked
          (:unlock [code] when (= code (:code data)) -> :closed (dissoc :code))
          (:unlock [_] -> :locked (update :wrong (fnil inc 0)))))"
  (:require [clojure.set :as set]
            [clojure.string :as str]))

;; --- Reading the definition ------------------------------------------------------

(defn- parse-transition
  "(event [args]? (when test)? -> target update*) as a map."
  [state form]
  (let [[event & more] form
        [args more] (if (vector? (first more)) [(first more) (rest more)] [[] more])
        [guard more] (if (= 'when (first more)) [(second more) (drop 2 more)] [nil more])
        [arrow target & updates] more]
    (when-not (and (keyword? event) (= '-> arrow) (keyword? target))
      (throw (ex-info (str "Cannot read a transition of " state) {:form form})))
    {:from state :event event :args args :guard guard :target target :updates updates}))

(defn- parse-states [forms]
  (vec (for [[state & transitions] forms
             t transitions]
         (parse-transition state t))))

(defn- reachable [initial transitions]
  (let [targets (reduce (fn [m {:keys [from target]}] (update m from (fnil conj #{}) target)) {} transitions)]
    (loop [seen #{initial}, frontier [initial]]
      (if-let [fresh (seq (remove seen (mapcat targets frontier)))]
        (recur (into seen fresh) fresh)
        seen))))

(defn- problems [{:keys [initial events]} states transitions]
  (let [names (set states)
        used (set (map :event transitions))
        unreachable (set/difference names (reachable initial transitions))
        ;; A transition behind one without a guard can never be taken.
        shadowed (for [[[from event] ts] (group-by (juxt :from :event) transitions)
                       :when (some (complement :guard) (butlast ts))]
                   (str event " in " from))]
    (cond-> []
      (not (names initial)) (conj (str "initial state " initial " is not defined"))
      (not (apply distinct? states)) (conj "a state is defined twice")
      (seq unreachable) (conj (str "states that cannot be reached: " (str/join ", " (sort unreachable))))
      (seq shadowed) (conj (str "transitions that cannot be taken: " (str/join ", " shadowed)))
      true (into (for [t transitions :when (not (names (:target t)))]
                   (str (:event t) " in " (:from t) " leads to unknown state " (:target t))))
      true (into (for [e (set/difference used events)] (str "event " e " is not declared")))
      true (into (for [e (set/difference events used)] (str "event " e " is never handled"))))))

;; --- Generating code -------------------------------------------------------------

(defn- emit-branch [{:keys [args guard target updates]} data arg-list otherwise]
  (let [body `{:state ~target :data (-> ~data ~@updates)}]
    ;; `data` is captured on purpose: guards and updates refer to it by that name.
    `(let [~args ~arg-list, ~'data ~data]
       ~(if guard `(if ~guard ~body ~otherwise) body))))

(defn- emit-event [transitions data arg-list]
  (reduce (fn [otherwise t] (emit-branch t data arg-list otherwise))
          nil
          (rseq transitions)))

(defmacro defmachine
  "Defines a function of a machine value and an event. It gives the next machine
  value, or nil when the event is not possible now. With no arguments it gives the
  machine in its initial state. The definition is in the metadata of the var."
  [machine-name doc options & state-forms]
  (let [states (map first state-forms)
        transitions (parse-states state-forms)
        found (problems options states transitions)
        machine (gensym "machine"), event (gensym "event")
        data (gensym "data"), args (gensym "args")]
    (when (seq found)
      (throw (ex-info (str "In machine " machine-name ": " (str/join "; " found)) {:problems found})))
    `(defn ~machine-name
       ~doc
       {:machine '~{:initial (:initial options)
                    :edges (mapv #(select-keys % [:from :event :target]) transitions)}}
       ([] {:state ~(:initial options) :data ~(:data options {})})
       ([~machine [~event & ~args]]
        (let [~data (:data ~machine)]
          (case (:state ~machine)
            ~@(mapcat (fn [state]
                        [state
                         `(case ~event
                            ~@(mapcat (fn [[e ts]] [e (emit-event (vec ts) data args)])
                                      (group-by :event (filter #(= state (:from %)) transitions)))
                            nil)])
                      states)))))))

;; --- Using machines --------------------------------------------------------------

(defn run
  "Feeds events to a machine. Stops at the first impossible one and says which."
  [machine events]
  (reduce (fn [{:keys [at] :as acc} event]
            (if-let [next-value (machine at event)]
              {:at next-value :log (conj (:log acc) [(:state at) (first event) (:state next-value)])}
              (reduced (assoc acc :rejected event))))
          {:at (machine) :log []}
          events))

(defn dot
  "The machine behind a var as a Graphviz document."
  [machine-var]
  (let [{:keys [initial edges]} (:machine (meta machine-var))]
    (str "digraph \"" (:name (meta machine-var)) "\" {\n"
         "  start [shape=point]\n"
         "  start -> " (name initial) "\n"
         (str/join (for [{:keys [from event target]} (distinct edges)]
                     (str "  " (name from) " -> " (name target) " [label=\"" (name event) "\"]\n")))
         "}\n")))

(defmachine door
  "A door with an electric lock."
  {:initial :closed
   :events #{:push :pull :lock :unlock}}
  (:closed
   (:pull -> :open)
   (:lock [code] -> :locked (assoc :code code)))
  (:open
   (:push -> :closed))
  (:locked
   (:unlock [code] when (= code (:code data)) -> :closed (dissoc :code))
   (:unlock [_] -> :locked (update :wrong (fnil inc 0)))))
