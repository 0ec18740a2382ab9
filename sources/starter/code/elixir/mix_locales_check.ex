defmodule Mix.Tasks.Locales.Check do
  @shortdoc "Compares the translations with the reference language"

  @moduledoc """
  Checks the `.po` files of a project against its reference language.

      mix locales.check [--dir priv/locales] [--reference en] [--strict] [LOCALE...]

  Reported are messages that are missing, translations that lost a `%{placeholder}`
  or gained one, and entries that nobody uses any more. Obsolete entries are only
  warnings unless `--strict` is given. The task fails when there are errors, so it
  can stand in a CI pipeline.
  """

  use Mix.Task

  @switches [dir: :string, reference: :string, strict: :boolean]

  defmodule Entry do
    @moduledoc false
    defstruct id: "", text: "", line: 0, fuzzy: false
  end

  @impl Mix.Task
  def run(argv) do
    {opts, wanted} = OptionParser.parse!(argv, strict: @switches)
    dir = opts[:dir] || "priv/locales"
    reference = opts[:reference] || "en"

    locales = File.ls!(dir) |> Enum.filter(&File.dir?(Path.join(dir, &1))) |> Enum.sort()
    unless reference in locales, do: Mix.raise("no reference language #{reference} in #{dir}")

    case wanted -- locales do
      [] -> :ok
      unknown -> Mix.raise("no such locale: #{Enum.join(unknown, ", ")}")
    end

    expected = read(dir, reference)

    findings =
      for locale <- if(wanted == [], do: locales -- [reference], else: wanted),
          finding <- compare(expected, read(dir, locale)) do
        print(locale, finding)
        severity(finding, opts[:strict] || false)
      end

    case Enum.count(findings, &(&1 == :error)) do
      0 -> Mix.shell().info("#{map_size(expected)} messages, #{length(findings)} warnings")
      n -> Mix.raise("#{n} problems found")
    end
  end

  # --- Comparing -------------------------------------------------------------

  @doc false
  def compare(expected, actual) do
    missing = for {key, e} <- expected, not Map.has_key?(actual, key), do: {:missing, key, e}
    obsolete = for {key, e} <- actual, not Map.has_key?(expected, key), do: {:obsolete, key, e}

    common =
      for {key, theirs} <- actual, ours = expected[key], finding = judge(key, ours, theirs), do: finding

    Enum.sort_by(missing ++ common ++ obsolete, fn {kind, {domain, _}, e} -> {domain, e.line, kind} end)
  end

  defp judge(key, ours, theirs) do
    wanted = placeholders(if ours.text == "", do: ours.id, else: ours.text)

    cond do
      theirs.text == "" -> {:missing, key, theirs}
      theirs.fuzzy -> {:fuzzy, key, theirs}
      not MapSet.equal?(wanted, placeholders(theirs.text)) -> {:placeholders, key, theirs}
      true -> nil
    end
  end

  defp placeholders(text) do
    ~r/%\{(\w+)\}/ |> Regex.scan(text, capture: :all_but_first) |> List.flatten() |> MapSet.new()
  end

  defp severity({kind, _, _}, strict?) when kind in [:obsolete, :fuzzy], do: if(strict?, do: :error, else: :warning)
  defp severity(_finding, _strict?), do: :error

  defp print(locale, {kind, {domain, id}, entry}) do
    colour = if kind in [:obsolete, :fuzzy], do: :yellow, else: :red
    place = "#{locale}/#{domain}.po:#{entry.line}"
    Mix.shell().info([colour, String.pad_trailing("#{kind}", 13), :reset, "#{place}  #{inspect(id)}"])
  end

  # --- Reading ---------------------------------------------------------------

  @doc "All entries of a locale by `{domain, msgid}`."
  def read(dir, locale) do
    for file <- Path.wildcard(Path.join([dir, locale, "**", "*.po"])),
        entry <- parse(File.stream!(file)),
        entry.id != "",
        into: %{},
        do: {{Path.basename(file, ".po"), entry.id}, entry}
  end

  @doc false
  def parse(lines) do
    lines
    |> Stream.map(&String.trim/1)
    |> Stream.with_index(1)
    |> Stream.chunk_while([], &chunk/2, fn acc -> {:cont, Enum.reverse(acc), []} end)
    |> Stream.reject(&(&1 == []))
    |> Enum.map(&entry/1)
  end

  # Entries are separated by blank lines.
  defp chunk({"", _}, acc), do: {:cont, Enum.reverse(acc), []}
  defp chunk(line, acc), do: {:cont, [line | acc]}

  defp entry([{_, number} | _] = lines) do
    {entry, _field} =
      Enum.reduce(lines, {%Entry{line: number}, :none}, fn {line, _}, {entry, field} ->
        case line do
          "#," <> flags -> {%Entry{entry | fuzzy: entry.fuzzy or flags =~ "fuzzy"}, field}
          "#" <> _ -> {entry, field}
          "msgid_plural " <> _ -> {entry, :ignored}
          "msgid " <> text -> {%Entry{entry | id: unquote_po(text)}, :id}
          "msgstr " <> text -> {%Entry{entry | text: unquote_po(text)}, :text}
          "msgstr[0] " <> text -> {%Entry{entry | text: unquote_po(text)}, :text}
          "msgstr[" <> _ -> {entry, :ignored}
          "\"" <> _ when field in [:id, :text] -> {Map.update!(entry, field, &(&1 <> unquote_po(line))), field}
          _ -> {entry, field}
        end
      end)

    entry
  end

  defp unquote_po(text) do
    text
    |> String.slice(1..-2//1)
    |> String.replace(~r/\\(.)/, fn
      "\\n" -> "\n"
      "\\t" -> "\t"
      <<"\\", char::utf8>> -> <<char::utf8>>
    end)
  end
end
