# A request router built on a segment tree.
#
# Routes may contain named parameters (`:id`) and end in a wildcard (`*rest`).
# A literal segment is preferred to a parameter, a parameter to a wildcard,
# and the search backs up when a preferred branch leads nowhere.
module PathRouter
  class ConflictError < Exception
  end

  # What a look-up found: the handler with the captured parameters.
  record Match(T), handler : T, params : Hash(String, String)

  class Router(T)
    private class Node(T)
      getter literals = {} of String => Node(T)
      property param : {name: String, node: Node(T)}?
      property wildcard : {name: String, handlers: Hash(String, T)}?
      getter handlers = {} of String => T
    end

    @root = Node(T).new

    # ```
    # router.add "GET", "/users/:id/files/*path", handler
    # ```
    def add(method : String, pattern : String, handler : T) : self
      node = @root
      segments = split(pattern)
      segments.each_with_index do |segment, index|
        case segment
        when .starts_with?(':')
          node = param_child(node, segment.lchop(':'), pattern)
        when .starts_with?('*')
          raise ConflictError.new("#{pattern}: a wildcard must come last") if index + 1 < segments.size
          name = segment.lchop('*')
          slot = node.wildcard ||= {name: name, handlers: {} of String => T}
          raise ConflictError.new("#{pattern}: wildcard is already called #{slot[:name]}") if slot[:name] != name
          store(slot[:handlers], method, pattern, handler)
          return self
        else
          node = (node.literals[segment] ||= Node(T).new)
        end
      end
      store(node.handlers, method, pattern, handler)
      self
    end

    # Returns the match, or the methods that the path would allow.
    def find(method : String, path : String) : Match(T) | Array(String)
      params = {} of String => String
      allowed = [] of String
      segments = split(path)
      if found = search(@root, segments, 0, method, params, allowed)
        Match(T).new(found[0], params)
      else
        allowed.uniq!.sort!
      end
    end

    private def search(node, segments, at, method, params, allowed) : {T}?
      if at == segments.size
        return pick(node.handlers, method, allowed)
      end

      segment = segments[at]
      if child = node.literals[segment]?
        found = search(child, segments, at + 1, method, params, allowed)
        return found if found
      end

      if param = node.param
        params[param[:name]] = segment
        found = search(param[:node], segments, at + 1, method, params, allowed)
        return found if found
        params.delete(param[:name])
      end

      if wildcard = node.wildcard
        if found = pick(wildcard[:handlers], method, allowed)
          params[wildcard[:name]] = segments[at..].join('/')
          return found
        end
      end
      nil
    end

    # Wrapped in a tuple, so that a falsy handler still counts as found.
    private def pick(handlers, method, allowed) : {T}?
      allowed.concat(handlers.keys)
      handlers.has_key?(method) ? {handlers[method]} : nil
    end

    private def param_child(node, name, pattern)
      slot = node.param ||= {name: name, node: Node(T).new}
      if slot[:name] != name
        raise ConflictError.new("#{pattern}: parameter is already called #{slot[:name]}")
      end
      slot[:node]
    end

    private def store(handlers, method, pattern, handler)
      raise ConflictError.new("#{method} #{pattern} is taken") if handlers.has_key?(method)
      handlers[method] = handler
    end

    private def split(path)
      path.split('/', remove_empty: true)
    end
  end
end

router = PathRouter::Router(Symbol).new
  .add("GET", "/", :home)
  .add("GET", "/users/me", :profile)
  .add("GET", "/users/:id", :user)
  .add("PUT", "/users/:id", :update)
  .add("GET", "/users/:id/files/*path", :download)
  .add("GET", "/users/me/settings", :settings)

{ {"GET", "/"}, {"GET", "/users/me"}, {"PUT", "/users/me"},
 {"GET", "/users/me/files/a/b.txt"}, {"DELETE", "/users/7"}, {"GET", "/nowhere"} }.each do |(method, path)|
  case result = router.find(method, path)
  in PathRouter::Match(Symbol)
    puts "#{method} #{path} -> #{result.handler} #{result.params}"
  in Array(String)
    status = result.empty? ? 404 : 405
    puts "#{method} #{path} -> #{status} #{result.join(", ")}"
  end
end
