require "json"

# Typed settings from JSON and the environment, declared in one place.
#
# ```
# class AppSettings
#   include Settings
#   setting port : Int32 = 8080, check: 1..65535
#   setting data_dir : String
# end
# ```
#
# For each setting the macro defines a getter, reads the JSON member of the
# same name and lets the environment variable APP_<NAME> override it. All
# problems are gathered and reported together.
module Settings
  class Invalid < Exception
    getter problems : Array(String)

    def initialize(@problems)
      super("invalid settings:\n" + @problems.map { |p| "  - #{p}" }.join('\n'))
    end
  end

  macro included
    # One entry per setting, filled in by `setting` below.
    SETTINGS = [] of Nil

    macro finished
      build
    end
  end

  macro setting(decl, check = nil)
    {% SETTINGS << {decl, check} %}
    getter {{decl.var}} : {{decl.type}}
  end

  macro build
    def initialize(members : Hash(String, JSON::Any), env, prefix = "APP_")
      problems = [] of String
      {% for entry in SETTINGS %}
        {% decl = entry[0]; check = entry[1]; name = decl.var.stringify %}
        raw = env[prefix + {{name.upcase}}]? || members.delete({{name}})
        %value = begin
          {% if decl.value.is_a?(Nop) %}
            raw.nil? ? raise(ArgumentError.new("is missing")) : Settings.cast(raw, {{decl.type}})
          {% else %}
            raw.nil? ? {{decl.value}} : Settings.cast(raw, {{decl.type}})
          {% end %}
        rescue ex : ArgumentError
          problems << "{{decl.var}} #{ex.message}"
          nil
        end
        {% if check %}
          if %value && !({{check}}).includes?(%value)
            problems << "{{decl.var}} is #{%value}, not in #{{{check}}}"
          end
        {% end %}
        value_{{decl.var}} = %value
      {% end %}

      members.each_key { |key| problems << "#{key} is not a setting" }
      raise Invalid.new(problems) unless problems.empty?
      {% for entry in SETTINGS %}
        @{{entry[0].var}} = value_{{entry[0].var}}.not_nil!
      {% end %}
    end

    def self.load(io : IO, env = ENV)
      new(JSON.parse(io).as_h, env)
    end
  end

  def self.cast(raw : String | JSON::Any, type : Int32.class) : Int32
    number = raw.is_a?(String) ? raw.to_i? : raw.as_i?
    number || raise ArgumentError.new("is not a whole number: #{raw}")
  end

  def self.cast(raw : String | JSON::Any, type : String.class) : String
    raw.is_a?(String) ? raw : raw.as_s? || raise ArgumentError.new("is not text: #{raw}")
  end

  def self.cast(raw : String | JSON::Any, type : Bool.class) : Bool
    case raw.is_a?(String) ? raw : raw.raw
    when true, "true", "yes", "1"  then true
    when false, "false", "no", "0" then false
    else                                raise ArgumentError.new("is not a switch: #{raw}")
    end
  end

  def self.cast(raw : String | JSON::Any, type : Array(String).class) : Array(String)
    return raw.split(',', remove_empty: true).map(&.strip) if raw.is_a?(String)
    list = raw.as_a? || raise ArgumentError.new("is not a list: #{raw}")
    list.map { |item| cast(item, String) }
  end
end

class IndexerSettings
  include Settings

  setting data_dir : String
  setting port : Int32 = 8080, check: 1..65535
  setting workers : Int32 = 4, check: 1..64
  setting languages : Array(String) = ["en"]
  setting read_only : Bool = false
end

good = %({"data_dir": "/srv/index", "port": 9000, "languages": ["de", "fr"]})
settings = IndexerSettings.load(IO::Memory.new(good), {"APP_WORKERS" => "12", "APP_READ_ONLY" => "yes"})
puts settings.port, settings.workers, settings.languages, settings.read_only

bad = %({"port": 70000, "workers": "many", "colour": "red"})
begin
  IndexerSettings.load(IO::Memory.new(bad), {} of String => String)
rescue ex : Settings::Invalid
  puts ex.message
end
