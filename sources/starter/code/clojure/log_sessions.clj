(ns logs.sessions
  "Streams access logs into visits, in constant memory, with transducers.

      clojure -M -m logs.sessions --gap 30 --slow 800 access.log > visits.edn

  The steps know nothing about files: the same transducer runs over a file, a
  sequence in a test, or the values of a channel."
  (:require [clojure.java.io :as io]
            [clojure.string :as str])
  (:import (java.time Duration Instant OffsetDateTime)
           (java.time.format DateTimeFormatter DateTimeParseException)
           (java.util Locale)))

(set! *warn-on-reflection* true)

;; --- Lines -----------------------------------------------------------------------

(def ^:private line-pattern
  ;; host - user [time] "METHOD path HTTP/x" status bytes millis
  #"^(\S+) \S+ (\S+) \[([^\]]+)\] \"([A-Z]+) (\S+) [^\"]*\" (\d{3}) (\d+|-) (\d+)$")

(def ^:private ^DateTimeFormatter timestamp
  (DateTimeFormatter/ofPattern "dd/MMM/yyyy:HH:mm:ss Z" Locale/ENGLISH))

(defn- parse-time ^Instant [s]
  (try (.toInstant (OffsetDateTime/parse s timestamp))
       (catch DateTimeParseException _ nil)))

(defn parse-line
  "A hit as a map, or {:bad line}."
  [line]
  (if-let [[_ host user time method path status _bytes millis] (re-matches line-pattern line)]
    (if-let [at (parse-time time)]
      {:visitor (if (= "-" user) host user)
       :at at
       :method method
       :path (first (str/split path #"\?" 2))
       :status (parse-long status)
       :millis (parse-long millis)}
      {:bad line})
    {:bad line}))

;; --- Transducers -----------------------------------------------------------------

(defn divert
  "Takes the inputs that satisfy `pred` out of the stream and hands them to `f`."
  [pred f]
  (fn [rf]
    (fn
      ([] (rf))
      ([result] (rf result))
      ([result input]
       (if (pred input) (do (f input) result) (rf result input))))))

(defn- idle? [{:keys [^Instant until]} ^Instant now ^Duration gap]
  (.isBefore until (.minus now gap)))

(defn sessions
  "Gathers hits into visits. A visit ends when its visitor has been silent for
  `gap`; it is emitted as soon as the log itself has moved past that point, so only
  visits that are still open are held. Hits may be late by up to the gap.

  On completion the open visits are flushed, oldest first."
  [^Duration gap start-visit add-hit]
  (fn [rf]
    (let [open (volatile! {})
          swept (volatile! Instant/EPOCH)
          emit (fn [result visits]
                 (reduce (fn [acc v] (let [r (rf acc v)] (if (reduced? r) (reduced r) r)))
                         result
                         (sort-by :from visits)))]
      (fn
        ([] (rf))
        ([result]
         (let [visits (vals @open)]
           (vreset! open {})
           (rf (unreduced (emit result visits)))))
        ([result {:keys [visitor at] :as hit}]
         (let [current (get @open visitor)
               ended (when (and current (idle? current at gap)) current)]
           (vswap! open assoc visitor
                   (add-hit (if (or ended (nil? current)) (start-visit hit) current) hit))
           ;; Looking through all open visits at each hit would be quadratic.
           (if (.isAfter ^Instant at (.plus ^Instant @swept (.dividedBy gap 4)))
             (let [stale (filter #(idle? % at gap) (vals @open))]
               (vreset! swept at)
               (vswap! open #(apply dissoc % (map :visitor stale)))
               (emit result (cond->> stale ended (cons ended))))
             (if ended (rf result ended) result))))))))

(defn- start-visit [{:keys [visitor at path]}]
  {:visitor visitor :from at :until at :entry path :hits 0 :errors 0 :slow 0 :paths #{}})

(defn- later [^Instant a ^Instant b] (if (.isAfter a b) a b))

(defn- add-hit [slow-limit]
  (fn [visit {:keys [at path status millis]}]
    (cond-> (-> visit
                (update :hits inc)
                (update :until later at)
                (update :paths conj path)
                (assoc :exit path))
      (<= 500 status) (update :errors inc)
      (< slow-limit millis) (update :slow inc))))

(defn- finish-visit [{:keys [from until paths] :as visit}]
  (-> visit
      (assoc :seconds (.toSeconds (Duration/between from until)) :pages (count paths))
      (update :from str)
      (dissoc :until :paths)))

(defn pipeline [{:keys [gap slow on-bad]}]
  (comp (remove str/blank?)
        (map parse-line)
        (divert :bad on-bad)
        (remove #(re-find #"\.(css|js|png|svg|woff2?)$" (:path %)))
        (sessions (Duration/ofMinutes gap) start-visit (add-hit slow))
        (map finish-visit)))

;; --- Command line ----------------------------------------------------------------

(defn- parse-args [args]
  (loop [opts {:gap 30 :slow 1000 :files []}, [a b & more :as left] args]
    (cond
      (empty? left) opts
      (#{"--gap" "--slow"} a) (recur (assoc opts (keyword (subs a 2)) (or (parse-long (str b)) 0)) more)
      :else (recur (update opts :files conj a) (rest left)))))

(defn -main [& args]
  (let [{:keys [files gap] :as opts} (parse-args args)
        bad (atom 0)]
    (when (or (empty? files) (not (pos? gap)))
      (binding [*out* *err*] (println "usage: sessions [--gap MINUTES] [--slow MILLIS] FILE..."))
      (System/exit 2))
    (doseq [file files]
      (with-open [in (io/reader file)]
        (run! prn (eduction (pipeline (assoc opts :on-bad (fn [_] (swap! bad inc)))) (line-seq in)))))
    (binding [*out* *err*] (println @bad "lines could not be read"))
    (shutdown-agents)))
