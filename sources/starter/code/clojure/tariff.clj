(ns energy.tariff
  "Bills electricity consumption under tariffs that are plain data.

  A tariff is a map of components; each component is priced by a multimethod on its
  :kind, so a supplier's odd new rule is one defmethod in its own namespace. Specs
  describe the data and check it at the border of the system only."
  (:require [clojure.spec.alpha :as s]
            [clojure.string :as str])
  (:import (java.math RoundingMode)
           (java.time DayOfWeek LocalDateTime)))

;; --- Data ----------------------------------------------------------------------

(s/def ::kwh (s/and decimal? #(not (neg? %))))
(s/def ::price decimal?)
(s/def ::start #(instance? LocalDateTime %))
(s/def ::reading (s/keys :req-un [::start ::kwh]))
(s/def ::readings (s/and (s/coll-of ::reading)
                         #(or (empty? %) (apply distinct? (map :start %)))))

(s/def ::hours (s/and (s/coll-of (s/int-in 0 24) :kind set?) seq))
(s/def ::days #{:all :weekdays :weekend})
(s/def ::band (s/keys :req-un [::name ::price] :opt-un [::hours ::days]))
(s/def ::name string?)
(s/def ::bands (s/coll-of ::band :min-count 1))

(s/def ::up-to (s/nilable ::kwh))
(s/def ::step (s/keys :req-un [::up-to ::price]))
(s/def ::steps
  (s/and (s/coll-of ::step :min-count 1)
         ;; Limits rise, and only the last step is open-ended.
         #(apply < (or (seq (map :up-to (butlast %))) [0]))
         #(nil? (:up-to (last %)))))

(defmulti component-spec :kind)
(defmethod component-spec :standing [_] (s/keys :req-un [::kind ::per-day]))
(defmethod component-spec :flat [_] (s/keys :req-un [::kind ::price]))
(defmethod component-spec :time-of-use [_] (s/keys :req-un [::kind ::bands]))
(defmethod component-spec :blocks [_] (s/keys :req-un [::kind ::steps]))
(defmethod component-spec :discount [_] (s/keys :req-un [::kind ::percent]))

(s/def ::kind keyword?)
(s/def ::per-day ::price)
(s/def ::percent (s/and decimal? #(<= 0 % 100)))
(s/def ::component (s/multi-spec component-spec :kind))
(s/def ::components (s/coll-of ::component :kind vector? :min-count 1))
(s/def ::vat (s/and decimal? #(<= 0 % 1)))
(s/def ::tariff (s/keys :req-un [::name ::components ::vat]))

;; --- Pricing -------------------------------------------------------------------

(defn- total-kwh [readings] (transduce (map :kwh) + 0M readings))

(defn- days-covered [readings]
  (count (into #{} (map #(.toLocalDate ^LocalDateTime (:start %))) readings)))

(defn- in-band? [{:keys [hours days]} {:keys [^LocalDateTime start]}]
  (let [weekend? (contains? #{DayOfWeek/SATURDAY DayOfWeek/SUNDAY} (.getDayOfWeek start))]
    (and (or (nil? hours) (contains? hours (.getHour start)))
         (case (or days :all)
           :all true
           :weekend weekend?
           :weekdays (not weekend?)))))

(defmulti lines
  "The bill lines of a component, given the readings and the lines before it."
  (fn [component _readings _so-far] (:kind component)))

(defmethod lines :standing [{:keys [per-day]} readings _]
  (let [days (days-covered readings)]
    [{:label (str "Standing charge, " days " days") :amount (* days per-day)}]))

(defmethod lines :flat [{:keys [price]} readings _]
  (let [kwh (total-kwh readings)]
    [{:label "Energy" :kwh kwh :amount (* kwh price)}]))

(defmethod lines :time-of-use [{:keys [bands]} readings _]
  ;; The first band that fits wins; a reading that fits none is a tariff error.
  (let [band-of (fn [r]
                  (or (first (filter #(in-band? % r) bands))
                      (throw (ex-info "No band covers this hour" {:start (:start r)}))))
        by-band (group-by band-of readings)]
    (for [band bands
          :let [kwh (total-kwh (by-band band))]
          :when (pos? kwh)]
      {:label (:name band) :kwh kwh :amount (* kwh (:price band))})))

(defmethod lines :blocks [{:keys [steps]} readings _]
  (loop [[{:keys [up-to price]} & more] steps, from 0M, left (total-kwh readings), out []]
    (let [kwh (if up-to (min left (- up-to from)) left)
          out (cond-> out
                (pos? kwh) (conj {:label (str "Block from " from " kWh") :kwh kwh :amount (* kwh price)}))]
      (if (and more (pos? (- left kwh)))
        (recur more up-to (- left kwh) out)
        out))))

(defmethod lines :discount [{:keys [percent]} _ so-far]
  (let [base (transduce (comp (filter :kwh) (map :amount)) + 0M so-far)]
    [{:label (str "Discount " percent " % on energy") :amount (- (* base percent 0.01M))}]))

(defn bill
  "Prices every component in order. Rounding happens once per printed line, so the
  lines of a bill always add up to its total."
  [tariff readings]
  (doseq [[spec value] [[::tariff tariff] [::readings readings]]]
    (when-let [problem (s/explain-data spec value)]
      (throw (ex-info (str "Invalid " (name spec)) problem))))
  (let [cents #(.setScale (bigdec %) 2 RoundingMode/HALF_UP)
        items (->> (:components tariff)
                   (reduce (fn [so-far c] (into so-far (lines c readings so-far))) [])
                   (mapv #(update % :amount cents)))
        net (transduce (map :amount) + 0M items)
        vat (cents (* net (:vat tariff)))]
    {:tariff (:name tariff) :lines items :net net :vat vat :total (+ net vat)}))

(defn render [{:keys [tariff net vat total] bill-lines :lines}]
  (let [row (fn [label amount] (format "%-40s %10s" label amount))]
    (str/join "\n"
              (concat [tariff (apply str (repeat 51 "-"))]
                      (map #(row (:label %) (:amount %)) bill-lines)
                      [(apply str (repeat 51 "-"))
                       (row "Net" net) (row "VAT" vat) (row "Total" total)]))))

(def example
  {:name "Night & Day"
   :vat 0.19M
   :components [{:kind :standing :per-day 0.32M}
                {:kind :time-of-use
                 :bands [{:name "Night" :price 0.21M :hours #{22 23 0 1 2 3 4 5}}
                         {:name "Weekend" :price 0.24M :days :weekend}
                         {:name "Day" :price 0.34M}]}
                {:kind :discount :percent 5M}]})
