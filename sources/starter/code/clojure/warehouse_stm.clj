(ns warehouse.stm
  "Stock and orders of a warehouse, held in refs and changed in transactions.

  Three rules are kept under any interleaving of pickers and arriving lorries:
  stock never goes below zero, an order is shipped once and completely, and units
  are neither lost nor invented. `simulate` puts them to the test."
  (:require [clojure.set :as set])
  (:import (java.util.concurrent CountDownLatch ThreadLocalRandom)))

;; One ref per article instead of one big map: transactions that touch different
;; articles do not conflict with each other.
(defn new-warehouse [stock]
  {:stock (into {} (map (fn [[article n]] [article (ref n :validator nat-int?)])) stock)
   :orders (ref {})
   :waiting (ref clojure.lang.PersistentQueue/EMPTY)
   :received (ref 0)
   :next-id (atom 0)
   ;; Agents do what must happen once: actions sent from inside a transaction are
   ;; held back until it commits, and dropped when it retries.
   :journal (agent [])})

(defn- log! [{:keys [journal]} entry]
  (send journal conj entry))

(defn place-order!
  "Registers an order of {article quantity}. Gives its number."
  [{:keys [orders waiting stock next-id] :as w} lines]
  (when-let [unknown (seq (set/difference (set (keys lines)) (set (keys stock))))]
    (throw (ex-info "Unknown articles" {:articles unknown})))
  ;; Outside the transaction: a retry must not burn numbers.
  (let [id (swap! next-id inc)]
    (dosync
     (alter orders assoc id {:lines lines :state :open})
     (alter waiting conj id)
     (log! w [:placed id]))
    id))

(defn receive!
  "Books an arrival. Additions commute, so lorries never have to wait for each
  other, nor retry."
  [{:keys [stock received] :as w} article quantity]
  (dosync
   (commute (stock article) + quantity)
   (commute received + quantity)
   (log! w [:received article quantity])))

(defn- available? [stock lines]
  (every? (fn [[article n]] (<= n @(stock article))) lines))

(defn ship!
  "Ships the order if everything is there. Gives :shipped, :short or :gone."
  [{:keys [stock orders] :as w} id]
  (dosync
   (let [{:keys [lines state]} (get @orders id)]
     (cond
       (not= :open state) :gone
       (not (available? stock lines)) :short
       :else (do
               (doseq [[article n] lines]
                 (alter (stock article) - n))
               (alter orders assoc-in [id :state] :shipped)
               (log! w [:shipped id])
               :shipped)))))

(defn cancel!
  [{:keys [orders] :as w} id]
  (dosync
   (when (= :open (get-in @orders [id :state]))
     (alter orders assoc-in [id :state] :cancelled)
     (log! w [:cancelled id])
     true)))

(defn next-order!
  "Takes the order that has waited longest off the queue, or gives nil."
  [{:keys [waiting]}]
  (dosync
   (when-let [id (peek @waiting)]
     (alter waiting pop)
     id)))

(defn requeue! [{:keys [waiting]} id] (dosync (alter waiting conj id)))

(defn audit
  "A consistent snapshot of everything, and whether the books balance."
  [{:keys [stock orders received]} initial]
  (dosync
   (let [in-stock (transduce (map (comp deref val)) + 0 stock)
         shipped (transduce (comp (filter #(= :shipped (:state %))) (mapcat (comp vals :lines)))
                            + 0 (vals @orders))]
     {:in-stock in-stock
      :shipped shipped
      :received @received
      :states (frequencies (map :state (vals @orders)))
      :balanced? (= (+ initial @received) (+ in-stock shipped))})))

(defn watch-low!
  "Calls (f article quantity) when an article falls below its minimum, once per
  crossing and not once per change."
  [{:keys [stock]} minimum f]
  (doseq [[article r] stock]
    (add-watch r ::low
               (fn [_ _ before after]
                 (when (and (>= before minimum) (< after minimum))
                   (f article after))))))

;; --- Simulation ----------------------------------------------------------------

(defn- random-int [low high]
  (.nextInt (ThreadLocalRandom/current) (int low) (int (inc high))))

(defn- picker [w ^CountDownLatch done stop?]
  (future
    (loop []
      (when-not @stop?
        (if-let [id (next-order! w)]
          (when (= :short (ship! w id)) (requeue! w id))
          (Thread/sleep 1))
        (recur)))
    (.countDown done)))

(defn simulate
  "Runs customers, lorries and pickers against each other and audits the result."
  [{:keys [articles pickers orders lorries]}]
  (let [w (new-warehouse (zipmap articles (repeat 20)))
        stop? (volatile! false)
        done (CountDownLatch. pickers)
        low (atom #{})]
    (watch-low! w 5 (fn [article _] (swap! low conj article)))
    (dotimes [_ pickers] (picker w done stop?))
    (let [customers (future (dotimes [_ orders]
                              (let [wanted (take (random-int 1 3) (shuffle articles))
                                    id (place-order! w (zipmap wanted (repeatedly #(random-int 1 4))))]
                                (when (zero? (random-int 0 9)) (cancel! w id)))))
          arrivals (future (dotimes [_ lorries]
                             (receive! w (rand-nth articles) (random-int 5 15))))]
      (run! deref [customers arrivals])
      (Thread/sleep 50)
      (vreset! stop? true)
      (.await done)
      (await (:journal w))
      (assoc (audit w (* 20 (count articles)))
             :entries (count @(:journal w))
             :ran-low (count @low)))))

(defn -main [& _]
  (let [result (simulate {:articles (mapv #(keyword (str "art-" %)) (range 12))
                          :pickers 4 :orders 400 :lorries 150})]
    (prn result)
    (shutdown-agents)
    (System/exit (if (:balanced? result) 0 1))))
