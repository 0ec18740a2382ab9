(ns web.data-router
  "An HTTP router whose routes are data: they can be listed, checked for conflicts
  and turned into links, before a single request has been served.

      [\"/invoices\" {:name :invoices :get list-invoices :post create-invoice}
       [\"/:id\" {:name :invoice :get show-invoice :params {:id parse-long}}
        [\"/pdf\" {:name :invoice-pdf :get send-pdf}]]]

  Handlers take and return Ring maps. Middleware on a node applies to its subtree."
  (:require [clojure.string :as str])
  (:import (java.net URLDecoder URLEncoder)))

;; --- Compiling -------------------------------------------------------------------

(defn- segments [path]
  (mapv #(cond
           (str/starts-with? % ":") {:param (keyword (subs % 1))}
           (str/starts-with? % "*") {:rest (keyword (subs % 1))}
           :else %)
        (remove str/blank? (str/split path #"/"))))

(defn flatten-routes
  "All nodes of the tree with their full paths, inherited middleware and coercions."
  ([tree] (flatten-routes {:path [] :middleware [] :params {}} tree))
  ([parent [path & more]]
   (let [[data children] (if (map? (first more)) [(first more) (rest more)] [{} more])
         node {:path (into (:path parent) (segments path))
               :middleware (into (:middleware parent) (:middleware data))
               :params (merge (:params parent) (:params data))}
         methods (select-keys data [:get :put :post :patch :delete])]
     (cond->> (mapcat #(flatten-routes node %) children)
       (seq methods) (cons (assoc node :name (:name data) :methods methods))))))

(defn- insert
  "Adds a route to the trie. Static segments, parameters and a catch-all have edges
  of their own kind, so that matching can prefer the more specific one."
  [trie {:keys [path] :as route}]
  (let [edges (mapv #(cond (string? %) [:static %]
                           (:param %) [:param nil]
                           :else [:rest nil])
                    path)]
    (when (some #{:rest} (map first (butlast edges)))
      (throw (ex-info "A catch-all must come last" {:path path})))
    (update-in trie (conj edges ::route)
               (fn [old]
                 (when old
                   (throw (ex-info "Two routes for the same path" {:names [(:name old) (:name route)]})))
                 route))))

(defn- lookup
  "Depth-first, most specific first. Gives the route with the captured strings."
  [node [segment & more :as path] captured]
  (if (empty? path)
    (when-let [route (::route node)] [route captured])
    (or (when-let [child (get node [:static segment])] (lookup child more captured))
        (when-let [child (get node [:param nil])] (lookup child more (conj captured segment)))
        (when-let [route (get-in node [[:rest nil] ::route])]
          [route (conj captured (str/join "/" path))]))))

;; --- Serving ---------------------------------------------------------------------

(defn- decode [s] (URLDecoder/decode (str/replace s "+" "%2B") "UTF-8"))

(defn- coerce
  "Applies the coercions of a route. Nil means that a segment is not of its type,
  and that the address therefore does not exist."
  [{:keys [path params]} captured]
  (let [names (keep #(when (map? %) (first (vals %))) path)]
    (reduce (fn [acc [k raw]]
              (let [f (get params k identity)
                    v (try (f raw) (catch IllegalArgumentException _ nil))]
                (if (nil? v) (reduced nil) (assoc acc k v))))
            {}
            (map vector names captured))))

(defn- wrap [handler middleware]
  ;; The outermost middleware is the one nearest to the root.
  (reduce (fn [h m] (m h)) handler (rseq (vec middleware))))

(defn- allowed [{:keys [methods]}]
  (->> (cond-> (set (keys methods)) (:get methods) (conj :head) true (conj :options))
       (map (comp str/upper-case name))
       sort
       (str/join ", ")))

(defn- dispatch [{:keys [methods middleware] :as route} {:keys [request-method] :as request}]
  (let [method (if (and (= :head request-method) (not (:head methods))) :get request-method)]
    (if-let [handler (methods method)]
      (cond-> ((wrap handler middleware) request)
        (= :head request-method) (dissoc :body))
      {:status (if (= :options request-method) 204 405)
       :headers {"Allow" (allowed route)}})))

(def ^:private not-found {:status 404 :headers {"Content-Type" "text/plain"} :body "Not found\n"})

(defn router
  "Compiles a route tree to a Ring handler. Conflicts are found here, not later.
  The compiled routes are in the metadata of the handler."
  [tree]
  (let [routes (vec (flatten-routes tree))
        by-name (into {} (comp (filter :name) (map (juxt :name identity))) routes)
        trie (reduce insert {} routes)]
    (when-let [twice (seq (for [[n c] (frequencies (keep :name routes)) :when (< 1 c)] n))]
      (throw (ex-info "Route names must be unique" {:names twice})))
    (with-meta
      (fn [{:keys [uri] :as request}]
        (let [path (map decode (remove str/blank? (str/split uri #"/")))]
          (if-let [[route captured] (lookup trie path [])]
            (if-let [params (coerce route captured)]
              (dispatch route (assoc request :path-params params :route (:name route)))
              not-found)
            not-found)))
      {::by-name by-name})))

(defn link
  "The address of a named route; parameters that it does not use go to the query."
  [handler route-name params]
  (let [{:keys [path]} (or (get-in (meta handler) [::by-name route-name])
                           (throw (ex-info "No such route" {:name route-name})))
        encode #(str/replace (URLEncoder/encode (str %) "UTF-8") "+" "%20")
        fill (fn [segment]
               (if (string? segment)
                 segment
                 (encode (or (params (first (vals segment)))
                             (throw (ex-info "Missing parameter" {:segment segment}))))))
        used (set (mapcat #(when (map? %) (vals %)) path))
        query (for [[k v] (sort-by key (apply dissoc params used))] (str (encode (name k)) "=" (encode v)))]
    (cond-> (str "/" (str/join "/" (map fill path)))
      (seq query) (str "?" (str/join "&" query)))))
