defmodule TypedOptions do
  @moduledoc """
  Declares option schemas at compile time.

      defmodule Mailer do
        use TypedOptions

        options do
          option :host, :string, required: true, doc: "where to connect to"
          option :port, 1..65_535, default: 25
          option :tls, {:one_of, [:never, :always]}, default: :always
          option :retry_after, :duration, default: "30s"
        end
      end

  `options!/1` checks a keyword list and returns a struct; `options_doc/0` gives
  the table for a moduledoc. Mistakes in the declaration itself, such as a default
  of the wrong type, are compile-time errors that point at the declaration.
  """

  defmodule InvalidOptions do
    defexception [:module, :problems]

    @impl true
    def message(%{module: module, problems: problems}) do
      "invalid options for #{inspect(module)}:\n" <> Enum.map_join(problems, "\n", &"  - #{&1}")
    end
  end

  defmacro __using__(_) do
    quote do
      import TypedOptions, only: [options: 1, option: 2, option: 3]
      Module.register_attribute(__MODULE__, :typed_options, accumulate: true)
      @before_compile TypedOptions
    end
  end

  defmacro options(do: block), do: block

  defmacro option(name, type, settings \\ []) do
    quote bind_quoted: [name: name, type: type, settings: settings], location: :keep do
      @typed_options TypedOptions.__declare__(__ENV__, name, type, settings)
    end
  end

  defmacro __before_compile__(env) do
    specs = env.module |> Module.get_attribute(:typed_options) |> Enum.reverse()
    struct_module = Module.concat(env.module, Options)
    fields = Enum.map(specs, &{&1.name, &1.default})
    enforced = for %{required: true, name: name} <- specs, do: name

    quote do
      defmodule unquote(struct_module) do
        @moduledoc false
        @enforce_keys unquote(enforced)
        defstruct unquote(Macro.escape(fields))
      end

      @doc false
      def options!(given) do
        TypedOptions.__validate__!(__MODULE__, unquote(struct_module), unquote(Macro.escape(specs)), given)
      end

      @doc false
      def options_doc, do: unquote(TypedOptions.__table__(specs))
    end
  end

  # --- Called from the generated code ------------------------------------------
  @doc false
  def __declare__(env, name, type, settings) do
    spec = %{name: name, type: type, required: settings[:required] || false, doc: settings[:doc] || ""}

    case Keyword.fetch(settings, :default) do
      {:ok, _} when spec.required -> compile_error(env, "#{name} cannot be required and have a default")
      {:ok, default} -> Map.put(spec, :default, cast_default!(env, name, type, default))
      :error -> Map.put(spec, :default, nil)
    end
  end

  defp cast_default!(env, name, type, default) do
    case cast(type, default) do
      {:ok, value} -> value
      {:error, expected} -> compile_error(env, "default of #{name} should be #{expected}")
    end
  end

  defp compile_error(env, text), do: raise(CompileError, file: env.file, line: env.line, description: text)

  @doc false
  def __validate__!(module, struct_module, specs, given) do
    known = MapSet.new(specs, & &1.name)
    unknown = for {key, _} <- given, key not in known, do: "unknown option #{inspect(key)}#{hint(key, known)}"

    {fields, problems} =
      Enum.reduce(specs, {[], unknown}, fn spec, {fields, problems} ->
        case check(spec, Keyword.fetch(given, spec.name)) do
          {:ok, value} -> {[{spec.name, value} | fields], problems}
          {:error, problem} -> {fields, [problem | problems]}
        end
      end)

    if problems != [], do: raise(InvalidOptions, module: module, problems: Enum.reverse(problems))
    struct!(struct_module, fields)
  end

  defp check(%{required: true, name: name}, :error), do: {:error, "#{name} is required"}
  defp check(spec, :error), do: {:ok, spec.default}
  defp check(spec, {:ok, value}) do
    with {:error, expected} <- cast(spec.type, value) do
      {:error, "#{spec.name} should be #{expected}, got: #{inspect(value)}"}
    end
  end

  defp hint(key, known) do
    best = Enum.max_by(known, &String.jaro_distance("#{&1}", "#{key}"), fn -> key end)
    if String.jaro_distance("#{best}", "#{key}") > 0.8, do: ", did you mean #{inspect(best)}?", else: ""
  end

  @doc false
  def __table__(specs) do
    Enum.map_join(specs, "\n", fn s ->
      fallback = if s.required, do: "required", else: "default `#{inspect(s.default)}`"
      "  * `:#{s.name}` (#{fallback}) #{s.doc}" |> String.trim_trailing()
    end)
  end

  # --- Types ---------------------------------------------------------------------
  defp cast(:string, v) when is_binary(v), do: {:ok, v}
  defp cast(:string, _), do: {:error, "a string"}
  defp cast(:boolean, v) when is_boolean(v), do: {:ok, v}
  defp cast(:boolean, _), do: {:error, "true or false"}
  defp cast(%Range{} = range, v) when is_integer(v), do: if(v in range, do: {:ok, v}, else: cast(range, nil))
  defp cast(%Range{} = range, _), do: {:error, "a whole number in #{inspect(range)}"}
  defp cast({:one_of, values}, v), do: if(v in values, do: {:ok, v}, else: {:error, "one of #{inspect(values)}"})

  defp cast(:duration, text) when is_binary(text) do
    with {n, unit} when n > 0 <- Integer.parse(text),
         {:ok, scale} <- Map.fetch(%{"ms" => 1, "s" => 1000, "m" => 60_000, "h" => 3_600_000}, unit) do
      {:ok, n * scale}
    else
      _ -> cast(:duration, nil)
    end
  end

  defp cast(:duration, _), do: {:error, ~s(a duration such as "250ms" or "5m")}
end
