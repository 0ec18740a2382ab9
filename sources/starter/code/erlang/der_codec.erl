%%% @doc Encodes and decodes a subset of ASN.1 DER.
%%%
%%% Decoding is strict: DER has exactly one encoding for a value, and signatures
%%% are computed over that encoding. Everything that BER would let pass (long
%%% lengths for short values, padded integers, indefinite form) is an error.
-module(der_codec).

-export([decode/1, encode/1]).

-include_lib("eunit/include/eunit.hrl").

-type oid() :: [non_neg_integer(), ...].
-type value() :: boolean()
               | null
               | integer()
               | {octets, binary()}
               | {bits, bitstring()}
               | {utf8, unicode:chardata()}
               | {oid, oid()}
               | {sequence, [value()]}
               | {set, [value()]}
               | {context, 0..30, value()}
               | {unknown, {Class :: 0..3, Tag :: 0..30}, binary()}.

-spec decode(binary()) -> {ok, value()} | {error, {atom(), Offset :: non_neg_integer()}}.
decode(Binary) ->
    try take(Binary, 0) of
        {Value, <<>>, _} -> {ok, Value};
        {_, _Rest, At} -> {error, {trailing_bytes, At}}
    catch
        throw:{der, Reason, At} -> {error, {Reason, At}}
    end.

%% Every function carries the offset along, for the sake of the error messages.
take(<<_:3, 31:5, _/binary>>, At) ->
    fail(multi_byte_tag, At);
take(<<Class:2, Constructed:1, Tag:5, Rest/binary>>, At) ->
    {Length, Tail, HeaderSize} = len(Rest, At + 1),
    Start = At + 1 + HeaderSize,
    case Tail of
        <<Content:Length/binary, After/binary>> ->
            {value(Class, Constructed, Tag, Content, Start), After, Start + Length};
        _ ->
            fail(truncated, At)
    end;
take(<<>>, At) ->
    fail(truncated, At).

len(<<0:1, Length:7, Rest/binary>>, _At) ->
    {Length, Rest, 1};
len(<<16#80, _/binary>>, At) ->
    fail(indefinite_length, At);
len(<<1:1, N:7, Length:N/unit:8, Rest/binary>>, At) ->
    Shortest = byte_size(binary:encode_unsigned(Length)),
    if Length < 128; Shortest < N -> fail(length_not_minimal, At);
       true -> {Length, Rest, 1 + N}
    end;
len(_, At) ->
    fail(truncated, At).

value(0, 0, 1, <<16#FF>>, _) -> true;
value(0, 0, 1, <<0>>, _) -> false;
value(0, 0, 1, _, At) -> fail(bad_boolean, At);
value(0, 0, 2, <<>>, At) -> fail(empty_integer, At);
value(0, 0, 2, <<0, 0:1, _:7, _/binary>>, At) -> fail(integer_not_minimal, At);
value(0, 0, 2, <<255, 1:1, _:7, _/binary>>, At) -> fail(integer_not_minimal, At);
value(0, 0, 2, Content, _) -> binary_to_signed(Content);
value(0, 0, 3, <<Unused, Bits/binary>>, At) when Unused < 8, bit_size(Bits) >= Unused ->
    Size = bit_size(Bits) - Unused,
    case Bits of
        <<Used:Size/bitstring, 0:Unused>> -> {bits, Used};
        _ -> fail(padding_not_zero, At)
    end;
value(0, 0, 4, Content, _) -> {octets, Content};
value(0, 0, 5, <<>>, _) -> null;
value(0, 0, 6, Content, At) -> {oid, oid(Content, At)};
value(0, 0, 12, Content, At) ->
    case unicode:characters_to_binary(Content) of
        Content -> {utf8, Content};
        _ -> fail(bad_utf8, At)
    end;
value(0, 1, 16, Content, At) -> {sequence, elements(Content, At)};
value(0, 1, 17, Content, At) -> {set, elements(Content, At)};
value(2, 1, Tag, Content, At) ->
    case elements(Content, At) of
        [Inner] -> {context, Tag, Inner};
        _ -> fail(one_value_expected, At)
    end;
value(Class, _, Tag, Content, _) -> {unknown, {Class, Tag}, Content}.

elements(<<>>, _At) -> [];
elements(Content, At) ->
    {Value, Rest, Next} = take(Content, At),
    [Value | elements(Rest, Next)].

binary_to_signed(Content) ->
    Size = bit_size(Content),
    <<N:Size/signed>> = Content,
    N.

oid(Content, At) ->
    case arcs(Content, 0, At) of
        [First | Rest] when First < 80 -> [First div 40, First rem 40 | Rest];
        [First | Rest] -> [2, First - 80 | Rest];
        [] -> fail(empty_oid, At)
    end.

arcs(<<>>, 0, _) -> [];
arcs(<<>>, _, At) -> fail(truncated_oid, At);
arcs(<<16#80, _/binary>>, 0, At) -> fail(arc_not_minimal, At);
arcs(<<1:1, Part:7, Rest/binary>>, Acc, At) -> arcs(Rest, Acc bsl 7 bor Part, At);
arcs(<<0:1, Part:7, Rest/binary>>, Acc, At) -> [Acc bsl 7 bor Part | arcs(Rest, 0, At)].

-spec fail(atom(), non_neg_integer()) -> no_return().
fail(Reason, At) -> throw({der, Reason, At}).

%%% ------------------------------------------------------------- encoding ---

-spec encode(value()) -> binary().
encode(true) -> tlv(1, <<16#FF>>);
encode(false) -> tlv(1, <<0>>);
encode(null) -> tlv(5, <<>>);
encode(N) when is_integer(N) -> tlv(2, signed(N, 1));
encode({octets, Bytes}) -> tlv(4, Bytes);
encode({bits, Bits}) ->
    Unused = (8 - bit_size(Bits) rem 8) rem 8,
    tlv(3, <<Unused, Bits/bitstring, 0:Unused>>);
encode({utf8, Text}) -> tlv(12, unicode:characters_to_binary(Text));
encode({oid, [A, B | Rest]}) -> tlv(6, << <<(arc(Arc))/binary>> || Arc <- [A * 40 + B | Rest] >>);
encode({sequence, Values}) -> tlv(16#30, << <<(encode(V))/binary>> || V <- Values >>);
%% DER wants the members of a set in the order of their encodings.
encode({set, Values}) -> tlv(16#31, iolist_to_binary(lists:sort([encode(V) || V <- Values])));
encode({context, Tag, Value}) -> tlv(16#A0 bor Tag, encode(Value)).

tlv(Tag, Content) when byte_size(Content) < 128 ->
    <<Tag, (byte_size(Content)), Content/binary>>;
tlv(Tag, Content) ->
    Length = binary:encode_unsigned(byte_size(Content)),
    <<Tag, (16#80 bor byte_size(Length)), Length/binary, Content/binary>>.

signed(N, Bytes) when N >= -(1 bsl (8 * Bytes - 1)), N < 1 bsl (8 * Bytes - 1) -> <<N:Bytes/unit:8>>;
signed(N, Bytes) -> signed(N, Bytes + 1).

arc(N) -> arc(N bsr 7, <<(N band 127)>>).
arc(0, Acc) -> Acc;
arc(N, Acc) -> arc(N bsr 7, <<1:1, (N band 127):7, Acc/binary>>).

round_trip_test_() ->
    [?_assertEqual({ok, V}, decode(encode(V)))
     || V <- [true, null, 0, 127, 128, -128, -129, {oid, [2, 999, 3]}, {bits, <<5:3>>}, {context, 0, {sequence, [1]}}]].
