namespace Gateway\Http;

use Gateway\Http\Exception\MethodNotAllowed;
use Gateway\Http\Exception\NotFound;

/**
 * Matches request paths against patterns such as /orders/{id:int}/lines/{line}.
 *
 * Patterns are kept in a tree of segments. Literal segments are tried before typed
 * parameters, and those before untyped ones, whatever the order of registration.
 */
class Router
{
    /**
     * Regular expressions of the parameter types, without delimiters.
     */
    protected types = [
        "int": "[0-9]{1,18}",
        "slug": "[a-z0-9]+(?:-[a-z0-9]+)*",
        "date": "[0-9]{4}-[0-9]{2}-[0-9]{2}",
        "hex": "[0-9a-f]+"
    ];

    protected tree = [] { get };

    protected prefix = "";

    /**
     * Registers everything that the callback adds below a common prefix.
     */
    public function group(string prefix, callable callback) -> <Router>
    {
        var outer;

        let outer = this->prefix,
            this->prefix = outer . rtrim(prefix, "/");
        call_user_func(callback, this);
        let this->prefix = outer;

        return this;
    }

    public function get(string pattern, var handler) -> <Router>
    {
        return this->map(["GET", "HEAD"], pattern, handler);
    }

    public function map(array methods, string pattern, var handler) -> <Router>
    {
        var method;
        array handlers = [];

        for method in methods {
            let handlers[method] = handler;
        }
        let this->tree = this->graft((array) this->tree, explode("/", trim(this->prefix . pattern, "/")), handlers);

        return this;
    }

    /**
     * @return array handler under "handler", parameters under "params"
     */
    public function match(string method, string path) -> array
    {
        var found, handlers, handler;

        let found = this->descend((array) this->tree, explode("/", trim(path, "/")), []);
        if found === null {
            throw new NotFound(path);
        }
        let handlers = found["handlers"];
        if !fetch handler, handlers[method] {
            throw new MethodNotAllowed(array_keys(handlers));
        }

        return ["handler": handler, "params": found["params"]];
    }

    private function graft(array node, array segments, array handlers) -> array
    {
        var segment, kind, key, child;

        if count(segments) == 0 {
            if fetch child, node["handlers"] {
                let handlers = array_merge(child, handlers);
            }
            let node["handlers"] = handlers;

            return node;
        }

        let segment = array_shift(segments), kind = "literal", key = segment;
        if starts_with(segment, "{") {
            let key = trim(segment, "{}"),
                kind = memstr(key, ":") ? "typed" : "any";
        }
        if !fetch child, node[kind][key] {
            let child = [];
        }
        let node[kind][key] = this->graft(child, segments, handlers);

        return node;
    }

    private function descend(array node, array segments, array params) -> array | null
    {
        var segment, key, child, found, parts, candidates, extended;

        if count(segments) == 0 {
            if !fetch found, node["handlers"] {
                return null;
            }
            return ["handlers": found, "params": params];
        }
        let segment = array_shift(segments);

        if fetch child, node["literal"][segment] {
            let found = this->descend(child, segments, params);
            if found !== null {
                return found;
            }
        }
        if fetch candidates, node["typed"] {
            for key, child in candidates {
                let parts = explode(":", key), extended = params, extended[parts[0]] = segment;
                if !preg_match("#^" . this->types[parts[1]] . "$#D", segment) {
                    continue;
                }
                let found = this->descend(child, segments, extended);
                if found !== null {
                    return found;
                }
            }
        }
        if fetch candidates, node["any"] {
            for key, child in candidates {
                let extended = params, extended[key] = urldecode(segment),
                    found = this->descend(child, segments, extended);
                if found !== null {
                    return found;
                }
            }
        }

        return null;
    }
}
