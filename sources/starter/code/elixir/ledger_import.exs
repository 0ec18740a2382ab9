# Imports bank exports into a plain-text journal and checks that it balances.
#
#   elixir ledger_import.exs --rules rules.txt statement-*.csv > journal.txt
#
# A rule is "pattern => account", tried in order; the first match wins:
#
#   (?i)bakery|grocer      => Expenses:Food
#   ^RENT                  => Expenses:Housing

defmodule Money do
  @moduledoc "Amounts in minor units, so that nothing is ever lost to rounding."

  @spec parse(String.t()) :: {:ok, integer} | :error
  def parse(text) do
    case Regex.run(~r/^\s*(-?)(\d{1,3}(?:'?\d{3})*|\d+)(?:[.,](\d{1,2}))?\s*$/, text) do
      [_, sign, whole | fraction] ->
        units = whole |> String.replace("'", "") |> String.to_integer()
        cents = fraction |> List.first("0") |> String.pad_trailing(2, "0") |> String.to_integer()
        amount = units * 100 + cents
        {:ok, if(sign == "-", do: -amount, else: amount)}

      nil ->
        :error
    end
  end

  @spec format(integer) :: String.t()
  def format(amount) do
    sign = if amount < 0, do: "-", else: ""
    cents = amount |> abs() |> rem(100) |> Integer.to_string() |> String.pad_leading(2, "0")
    "#{sign}#{div(abs(amount), 100)}.#{cents}"
  end
end

defmodule Rules do
  @fallback "Equity:Unsorted"

  def load!(path) do
    path
    |> File.stream!()
    |> Stream.map(&String.trim/1)
    |> Stream.reject(&(&1 == "" or String.starts_with?(&1, "#")))
    |> Stream.with_index(1)
    |> Enum.map(fn {line, number} ->
      with [pattern, account] <- String.split(line, ~r/\s+=>\s+/, parts: 2),
           {:ok, regex} <- Regex.compile(pattern) do
        {regex, account}
      else
        {:error, {reason, at}} -> raise "rule #{number}: #{reason} at #{at}"
        _ -> raise "rule #{number}: expected 'pattern => account', got: #{line}"
      end
    end)
  end

  def account(rules, text) do
    Enum.find_value(rules, @fallback, fn {regex, account} ->
      if Regex.match?(regex, text), do: account
    end)
  end
end

defmodule Statement do
  @moduledoc "Semicolon-separated exports: date;text;amount, with a heading."

  defstruct [:date, :text, :amount, :source]

  @spec stream(Path.t()) :: Enumerable.t()
  def stream(path) do
    path
    |> File.stream!()
    |> Stream.with_index(1)
    |> Stream.drop(1)
    |> Stream.reject(fn {line, _} -> String.trim(line) == "" end)
    |> Stream.map(fn {line, number} -> parse(line, "#{Path.basename(path)}:#{number}") end)
  end

  defp parse(line, source) do
    with [date, text, amount] <- line |> String.trim() |> String.split(";"),
         {:ok, date} <- Date.from_iso8601(date),
         {:ok, amount} <- Money.parse(amount) do
      {:ok, %__MODULE__{date: date, text: squeeze(text), amount: amount, source: source}}
    else
      fields when is_list(fields) -> {:error, "#{source}: expected 3 fields, got #{length(fields)}"}
      {:error, reason} -> {:error, "#{source}: #{reason}"}
      :error -> {:error, "#{source}: cannot read the amount"}
    end
  end

  defp squeeze(text), do: text |> String.split() |> Enum.join(" ")
end

defmodule Journal do
  @bank "Assets:Bank"

  @doc "Transfers between own accounts show up in two exports: keep one of each pair."
  def deduplicate(entries) do
    Enum.uniq_by(entries, fn e -> {e.date, e.text, abs(e.amount)} end)
  end

  def postings(entry, rules) do
    [{@bank, entry.amount}, {Rules.account(rules, entry.text), -entry.amount}]
  end

  def print(entry, rules) do
    lines = for {account, amount} <- postings(entry, rules), do: line(account, amount)
    ["#{entry.date} #{entry.text}  ; #{entry.source}\n", lines, "\n"]
  end

  defp line(account, amount) do
    ["    ", String.pad_trailing(account, 30), String.pad_leading(Money.format(amount), 12), "\n"]
  end

  def balances(entries, rules) do
    for entry <- entries, {account, amount} <- postings(entry, rules), reduce: %{} do
      sums -> Map.update(sums, account, amount, &(&1 + amount))
    end
  end
end

{opts, files, invalid} = OptionParser.parse(System.argv(), strict: [rules: :string, since: :string])

if invalid != [] or files == [] do
  IO.puts(:stderr, "usage: elixir ledger_import.exs [--rules FILE] [--since DATE] STATEMENT...")
  System.halt(2)
end

rules = if path = opts[:rules], do: Rules.load!(path), else: []
since = Date.from_iso8601!(opts[:since] || "1970-01-01")

{good, bad} = files |> Stream.flat_map(&Statement.stream/1) |> Enum.split_with(&match?({:ok, _}, &1))

for {:error, problem} <- bad, do: IO.puts(:stderr, problem)

entries =
  for({:ok, entry} <- good, Date.compare(entry.date, since) != :lt, do: entry)
  |> Journal.deduplicate()
  |> Enum.sort_by(& &1.date, Date)

Enum.each(entries, &IO.write(Journal.print(&1, rules)))

balances = Journal.balances(entries, rules)
0 = balances |> Map.values() |> Enum.sum()

for {account, amount} <- Enum.sort(balances) do
  IO.puts(:stderr, String.pad_trailing(account, 30) <> String.pad_leading(Money.format(amount), 12))
end

if bad != [], do: System.halt(1)
