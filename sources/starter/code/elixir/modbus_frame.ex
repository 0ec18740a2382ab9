defmodule Modbus.Frame do
  @moduledoc """
  Encodes and decodes Modbus RTU frames with binary pattern matching.

  A frame is an address, a function code, a payload and a CRC-16 in little-endian
  order. Serial lines deliver bytes in arbitrary pieces, so `decode/2` works on a
  buffer and gives back what it did not use.

      iex> Modbus.Frame.encode(17, {:read_holding, 0x6B, 3}) |> Base.encode16()
      "1103006B00037687"
  """

  import Bitwise

  @type address :: 0..247
  @type request ::
          {:read_coils, start :: 0..0xFFFF, count :: 1..2000}
          | {:read_holding, start :: 0..0xFFFF, count :: 1..125}
          | {:write_coil, 0..0xFFFF, boolean}
          | {:write_registers, start :: 0..0xFFFF, [0..0xFFFF, ...]}
  @type response ::
          {:coils, [boolean]}
          | {:registers, [0..0xFFFF]}
          | {:wrote, start :: 0..0xFFFF, count :: pos_integer}
          | {:exception, atom}

  @exceptions %{
    1 => :illegal_function,
    2 => :illegal_address,
    3 => :illegal_value,
    4 => :device_failure,
    5 => :acknowledged,
    6 => :busy
  }

  # The table is computed while compiling; at run time it is a literal tuple.
  @crc_table 0..255
             |> Enum.map(fn byte ->
               Enum.reduce(1..8, byte, fn _, crc ->
                 if band(crc, 1) == 1, do: bxor(bsr(crc, 1), 0xA001), else: bsr(crc, 1)
               end)
             end)
             |> List.to_tuple()

  @spec crc(binary) :: 0..0xFFFF
  def crc(data), do: crc(data, 0xFFFF)

  defp crc(<<byte, rest::binary>>, acc) do
    crc(rest, bxor(bsr(acc, 8), elem(@crc_table, band(bxor(acc, byte), 0xFF))))
  end

  defp crc(<<>>, acc), do: acc

  @spec encode(address, request) :: binary
  def encode(address, request) when address in 0..247 do
    frame = <<address, pdu(request)::binary>>
    <<frame::binary, crc(frame)::little-16>>
  end

  defp pdu({:read_coils, start, count}) when count in 1..2000, do: <<1, start::16, count::16>>
  defp pdu({:read_holding, start, count}) when count in 1..125, do: <<3, start::16, count::16>>
  defp pdu({:write_coil, coil, true}), do: <<5, coil::16, 0xFF00::16>>
  defp pdu({:write_coil, coil, false}), do: <<5, coil::16, 0::16>>

  defp pdu({:write_registers, start, values}) when length(values) in 1..123 do
    payload = for value <- values, into: <<>>, do: <<value::16>>
    <<16, start::16, length(values)::16, byte_size(payload), payload::binary>>
  end

  @doc """
  Takes the first response off the buffer.

  `expected` is the request that was sent: a coil response is padded to whole
  bytes, and only the request knows how many bits are meant.
  """
  @spec decode(binary, {address, request}) ::
          {:ok, response, rest :: binary} | :more | {:error, :crc | :unexpected, rest :: binary}
  def decode(buffer, {address, _} = expected) do
    with {:ok, size} <- frame_size(buffer),
         <<frame::binary-size(size), sum::little-16, rest::binary>> <- buffer do
      cond do
        crc(frame) != sum -> {:error, :crc, resync(buffer, address)}
        true -> interpret(frame, expected, rest)
      end
    else
      {:error, :unknown_function} -> {:error, :unexpected, resync(buffer, address)}
      _incomplete -> :more
    end
  end

  # The length of a response follows from its first three bytes.
  defp frame_size(<<_, function, _::binary>>) when band(function, 0x80) != 0, do: {:ok, 3}
  defp frame_size(<<_, function, count, _::binary>>) when function in [1, 3], do: {:ok, 3 + count}
  defp frame_size(<<_, function, _::binary>>) when function in [5, 16], do: {:ok, 6}
  defp frame_size(<<_, function, _::binary>>) when function not in [1, 3], do: {:error, :unknown_function}
  defp frame_size(_), do: :more

  defp interpret(<<address, function, code>>, {address, _}, rest) when band(function, 0x80) != 0 do
    {:ok, {:exception, Map.get(@exceptions, code, :unknown)}, rest}
  end

  defp interpret(<<address, 1, _size, packed::binary>>, {address, {:read_coils, _, count}}, rest)
       when bit_size(packed) >= count do
    {:ok, {:coils, packed |> coils() |> Enum.take(count)}, rest}
  end

  defp interpret(<<address, 3, _size, words::binary>>, {address, {:read_holding, _, count}}, rest)
       when byte_size(words) == 2 * count do
    {:ok, {:registers, for(<<word::16 <- words>>, do: word)}, rest}
  end

  defp interpret(<<address, 5, coil::16, _::16>>, {address, {:write_coil, coil, _}}, rest) do
    {:ok, {:wrote, coil, 1}, rest}
  end

  defp interpret(<<address, 16, start::16, n::16>>, {address, {:write_registers, start, _}}, rest) do
    {:ok, {:wrote, start, n}, rest}
  end

  defp interpret(_frame, _expected, rest), do: {:error, :unexpected, rest}

  # The first coil is the lowest bit of the first byte.
  defp coils(packed) do
    for <<byte <- packed>>, bit <- 0..7, do: band(bsr(byte, bit), 1) == 1
  end

  # After line noise: drop bytes until something that may be our device's answer.
  defp resync(<<_, rest::binary>>, address), do: skip_to(rest, address)

  defp skip_to(<<address, _::binary>> = buffer, address), do: buffer
  defp skip_to(<<_, rest::binary>>, address), do: skip_to(rest, address)
  defp skip_to(<<>>, _address), do: <<>>
end
