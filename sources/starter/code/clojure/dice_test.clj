(ns tabletop.dice-test
  "Dice notation (\"4d6kh3+2\") with the tests that pin its behaviour down.

  Rolls take their randomness as a function, so every test decides what the dice
  show; only the statistical tests at the end use a real, but seeded, generator."
  (:require [clojure.string :as str]
            [clojure.test :refer [are deftest is testing use-fixtures run-tests]])
  (:import (java.util Random)))

;; --- Code under test -------------------------------------------------------------

(def ^:private term-pattern #"([+-]?)(?:(\d*)d(\d+|%)(?:(kh|kl|!)(\d*))?|(\d+))")

(defn parse
  "A sequence of terms. Throws ex-info with :at for the first unreadable character."
  [text]
  (let [s (str/replace (str/lower-case text) #"\s" "")]
    (loop [at 0, terms []]
      (if (= at (count s))
        (if (seq terms) terms (throw (ex-info "Nothing to roll" {:at 0})))
        (let [m (re-matcher term-pattern s)]
          (.region m at (count s))
          (when-not (and (.lookingAt m) (or (zero? at) (seq (.group m 1))))
            (throw (ex-info (str "Cannot read '" (subs s at) "'") {:at at})))
          (let [[_ sign n sides option amount constant] (re-groups m)
                number #(if (seq %1) (parse-long %1) %2)
                sign (if (= "-" sign) -1 1)]
            (recur (.end m)
                   (conj terms
                         (if constant
                           {:sign sign :constant (parse-long constant)}
                           (cond-> {:sign sign :dice (number n 1) :sides (if (= "%" sides) 100 (parse-long sides))}
                             (#{"kh" "kl"} option) (assoc :keep [(keyword option) (number amount 1)])
                             (= "!" option) (assoc :explode true)))))))))))

(defn- roll-term [{:keys [dice sides explode] [how n] :keep} die]
  (let [throw-die (fn throw-die []
                    (let [v (die sides)]
                      (cons v (when (and explode (= v sides) (< 1 sides)) (throw-die)))))
        thrown (vec (mapcat identity (repeatedly dice throw-die)))]
    {:thrown thrown
     :kept (case how
             :kh (take n (sort > thrown))
             :kl (take n (sort thrown))
             nil thrown)}))

(defn roll
  "Rolls a notation. `die` gets the number of sides and gives 1 to that number."
  [text die]
  (reduce (fn [acc {:keys [sign constant] :as term}]
            (if constant
              (update acc :total + (* sign constant))
              (let [{:keys [thrown kept]} (roll-term term die)]
                (-> acc
                    (update :total + (* sign (reduce + kept)))
                    (update :thrown into thrown)))))
          {:total 0 :thrown []}
          (parse text)))

;; --- Helpers and fixtures ----------------------------------------------------------

(def ^:dynamic *random* nil)

(use-fixtures :each
  (fn [test-fn]
    (binding [*random* (Random. 20310514)]
      (test-fn))))

(defn fair [sides] (inc (.nextInt ^Random *random* sides)))

(defn loaded
  "Dice that show the given values in turn, and fail when more are thrown."
  [& values]
  (let [left (atom values)]
    (fn [_sides]
      (let [[[v]] (swap-vals! left rest)]
        (or v (throw (ex-info "More dice thrown than expected" {})))))))

;; --- Tests -------------------------------------------------------------------------

(deftest parsing
  (testing "defaults and spelling"
    (are [text expected] (= expected (parse text))
      "d6"       [{:sign 1 :dice 1 :sides 6}]
      "3D8"      [{:sign 1 :dice 3 :sides 8}]
      "d%"       [{:sign 1 :dice 1 :sides 100}]
      " 2 d 4 "  [{:sign 1 :dice 2 :sides 4}]
      "7"        [{:sign 1 :constant 7}]
      "2d20kl"   [{:sign 1 :dice 2 :sides 20 :keep [:kl 1]}]
      "d6!-1"    [{:sign 1 :dice 1 :sides 6 :explode true} {:sign -1 :constant 1}]))
  (testing "errors say where they are"
    (are [text at] (= at (:at (ex-data (try (parse text) (catch clojure.lang.ExceptionInfo e e)))))
      ""      0
      "2x6"   1
      "d6+"   2
      "d6d8"  2
      "1d6++" 3)))

(deftest keeping
  (is (= {:total 15 :thrown [4 1 6 5]} (roll "4d6kh3" (loaded 4 1 6 5))))
  (is (= {:total 3 :thrown [17 3]} (roll "2d20kl1" (loaded 17 3))))
  (testing "keeping more than there are keeps all"
    (is (= 5 (:total (roll "2d6kh9" (loaded 2 3)))))))

(deftest exploding
  (is (= {:total 15 :thrown [6 6 3]} (roll "d6!" (loaded 6 6 3))))
  (testing "each die explodes by itself"
    (is (= [2 6 1 4] (:thrown (roll "3d6!" (loaded 2 6 1 4))))))
  (testing "a one-sided die would explode for ever"
    (is (= 3 (:total (roll "3d1!" (constantly 1)))))))

(deftest arithmetic
  (are [text total] (= total (:total (roll text (loaded 3 5))))
    "2d6+4" 12
    "2d6-10" -2
    "1d6-1d6" -2
    "10-2d6" 2))

(deftest ^:statistical averages
  (are [text low high]
       (let [n 4000, mean (/ (reduce + (repeatedly n #(:total (roll text fair)))) (double n))]
         (is (< low mean high) text))
    "3d6"    10.3 10.7
    "4d6kh3" 12.05 12.45
    "d6!"    4.0 4.4))

(defn -main [& _]
  (let [{:keys [fail error]} (run-tests 'tabletop.dice-test)]
    (System/exit (if (zero? (+ fail error)) 0 1))))
