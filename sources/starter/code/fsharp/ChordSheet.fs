/// Parses song sheets with chords in square brackets and transposes them.
///
///     {key: G}
///     [G]Down by the [D7/F#]river I [Em]wait
///
/// The parser is built from a handful of combinators with position tracking.
module Songbook.ChordSheet

open System

// --- Combinators ----------------------------------------------------------------

[<Struct>]
type Position = { Line: int; Column: int }

type Input = { Text: string; Offset: int; At: Position }

type Outcome<'a> =
    | Parsed of 'a * Input
    | Failed of Position * expected: string

type Parser<'a> = Parser of (Input -> Outcome<'a>)

let run (Parser p) input = p input

let satisfy expected test =
    Parser(fun input ->
        if input.Offset < input.Text.Length && test input.Text.[input.Offset] then
            let c = input.Text.[input.Offset]
            let at =
                if c = '\n' then { Line = input.At.Line + 1; Column = 1 }
                else { input.At with Column = input.At.Column + 1 }
            Parsed(c, { input with Offset = input.Offset + 1; At = at })
        else
            Failed(input.At, expected))

let succeed x = Parser(fun input -> Parsed(x, input))

let (>>=) p f =
    Parser(fun input ->
        match run p input with
        | Parsed(x, rest) -> run (f x) rest
        | Failed(at, e) -> Failed(at, e))

let (|>>) p f = p >>= (f >> succeed)
let (.>>) p q = p >>= fun x -> q |>> fun _ -> x
let (>>.) p q = p >>= fun _ -> q

/// Tries the second only if the first failed without consuming anything.
let (<|>) p q =
    Parser(fun input ->
        match run p input with
        | Failed(at, e1) when at = input.At ->
            match run q input with
            | Failed(at', e2) when at' = at -> Failed(at, e1 + " or " + e2)
            | other -> other
        | other -> other)

let rec many p =
    (p >>= fun x -> many p |>> fun xs -> x :: xs) <|> succeed []

let opt p = (p |>> Some) <|> succeed None
let char c = satisfy (sprintf "'%c'" c) ((=) c)
let text (cs: char list) = String(List.toArray cs)
let many1 p = p >>= fun x -> many p |>> fun xs -> x :: xs

// --- Music ----------------------------------------------------------------------

/// Semitones above C, always 0 to 11.
[<Struct>]
type Pitch = private Pitch of int

module Pitch =
    let private sharps = [| "C"; "C#"; "D"; "D#"; "E"; "F"; "F#"; "G"; "G#"; "A"; "A#"; "B" |]
    let private flats = [| "C"; "Db"; "D"; "Eb"; "E"; "F"; "Gb"; "G"; "Ab"; "A"; "Bb"; "B" |]

    let create n = Pitch(((n % 12) + 12) % 12)
    let shift by (Pitch n) = create (n + by)
    let show preferFlats (Pitch n) = if preferFlats then flats.[n] else sharps.[n]

    /// Major keys on the flat side of the circle of fifths.
    let isFlatKey (Pitch n) = List.contains n [ 5; 10; 3; 8; 1 ]

type Chord = { Root: Pitch; Quality: string; Bass: Pitch option }

type Piece =
    | Lyric of string
    | Chord of Chord

type Line =
    | Directive of name: string * value: string
    | Sung of Piece list

// --- Grammar --------------------------------------------------------------------

let private pitch =
    let semitone = Map.ofList [ 'C', 0; 'D', 2; 'E', 4; 'F', 5; 'G', 7; 'A', 9; 'B', 11 ]
    satisfy "a note" semitone.ContainsKey >>= fun note ->
        opt (char '#' <|> char 'b') |>> fun accidental ->
            let change = match accidental with Some '#' -> 1 | Some _ -> -1 | None -> 0
            Pitch.create (semitone.[note] + change)

let private chord =
    pitch >>= fun root ->
        many (satisfy "a chord quality" (fun c -> Char.IsLetterOrDigit c || "+-()#".IndexOf c >= 0)) >>= fun quality ->
            opt (char '/' >>. pitch) |>> fun bass ->
                { Root = root; Quality = text quality; Bass = bass }

let private piece =
    (char '[' >>. chord .>> char ']' |>> Chord)
    <|> (many1 (satisfy "words" (fun c -> c <> '[' && c <> '\n')) |>> (text >> Lyric))

let private directive =
    let upTo stop = many (satisfy "a directive" (fun c -> c <> stop && c <> '\n')) |>> text
    char '{' >>. upTo ':' .>> char ':' >>= fun name ->
        upTo '}' .>> char '}' |>> fun value -> Directive(name.Trim(), value.Trim())

let private line = (directive <|> (many piece |>> Sung)) .>> char '\n'

let private eof =
    Parser(fun input ->
        if input.Offset = input.Text.Length then Parsed((), input) else Failed(input.At, "the end"))

let parse (source: string) : Result<Line list, string> =
    let input = { Text = source.TrimEnd() + "\n"; Offset = 0; At = { Line = 1; Column = 1 } }
    match run (many line .>> eof) input with
    | Parsed(lines, _) -> Ok lines
    | Failed(at, expected) -> Error(sprintf "line %d, column %d: expected %s" at.Line at.Column expected)

// --- Transposition --------------------------------------------------------------

let key lines =
    lines |> List.tryPick (function
        | Directive("key", k) ->
            match run pitch { Text = k; Offset = 0; At = { Line = 1; Column = 1 } } with
            | Parsed(p, _) -> Some p
            | Failed _ -> None
        | _ -> None)

let transpose semitones (lines: Line list) : string list =
    let target = key lines |> Option.map (Pitch.shift semitones)
    let show = Pitch.show (target |> Option.exists Pitch.isFlatKey)
    let showChord c =
        let bass = c.Bass |> Option.map (fun b -> "/" + show (Pitch.shift semitones b))
        show (Pitch.shift semitones c.Root) + c.Quality + defaultArg bass ""
    lines |> List.map (function
        | Directive("key", _) when target.IsSome -> sprintf "{key: %s}" (show target.Value)
        | Directive(name, value) -> sprintf "{%s: %s}" name value
        | Sung pieces -> pieces |> List.map (function Lyric s -> s | Chord c -> "[" + showChord c + "]") |> String.concat "")
