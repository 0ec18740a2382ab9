/// Customer onboarding: untrusted form data in, a verified customer out.
///
/// Illegal states are unrepresentable by construction. Values that have rules are
/// wrapped in types with private constructors; errors are data and accumulate.
module Bank.Onboarding

open System
open System.Text.RegularExpressions

// --- Errors -------------------------------------------------------------------

type FieldError = Missing | TooLong of limit: int | BadFormat of expected: string | TooYoung of age: int | ChecksumFailed

type ValidationError = { Field: string; Error: FieldError }

/// Applicative validation: unlike Result's bind, `and!` keeps every error.
type Validation<'a> = Result<'a, ValidationError list>

type ValidationBuilder() =
    member _.BindReturn(x: Validation<'a>, f: 'a -> 'b) : Validation<'b> = Result.map f x

    member _.MergeSources(a: Validation<'a>, b: Validation<'b>) : Validation<'a * 'b> =
        match a, b with
        | Ok a, Ok b -> Ok(a, b)
        | Error e1, Error e2 -> Error(e1 @ e2)
        | Error e, _ | _, Error e -> Error e

let validation = ValidationBuilder()

// --- Constrained values ---------------------------------------------------------

type Text50 = private Text50 of string
type Iban = private Iban of string
type Adult = private Adult of birthday: DateTime

module Text50 =
    let value (Text50 s) = s

    let create (s: string) =
        match s with
        | s when String.IsNullOrWhiteSpace s -> Error Missing
        | s when s.Trim().Length > 50 -> Error(TooLong 50)
        | s -> Ok(Text50(s.Trim()))

module Iban =
    let value (Iban s) = s

    /// ISO 7064: move the first four characters to the back, turn letters into
    /// numbers from 10 on, and the whole number must be 1 modulo 97.
    let private checksum (s: string) =
        (0, s.Substring 4 + s.Substring(0, 4))
        ||> Seq.fold (fun acc c ->
            if Char.IsDigit c then (acc * 10 + int c - int '0') % 97
            else (acc * 100 + int c - int 'A' + 10) % 97)

    let create (s: string) =
        let compact = Regex.Replace(s, @"\s", "").ToUpperInvariant()
        match Regex.IsMatch(compact, "^[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}$") with
        | false -> Error(BadFormat "two letters, two digits, then 11 to 30 letters or digits")
        | true when checksum compact <> 1 -> Error ChecksumFailed
        | true -> Ok(Iban compact)

module Adult =
    let age (today: DateTime) (birthday: DateTime) =
        let years = today.Year - birthday.Year
        if birthday.AddYears years > today then years - 1 else years

    let create today birthday =
        match age today birthday with
        | years when years < 18 -> Error(TooYoung years)
        | _ -> Ok(Adult birthday)

// --- Domain ---------------------------------------------------------------------

type Contact =
    | ByPhone of Text50
    | ByPost of street: Text50 * town: Text50

type Applicant = { Name: Text50; Born: Adult; Account: Iban; Contact: Contact }

/// Each stage is a type of its own, so a step cannot be skipped.
type Screened = { Applicant: Applicant; ScreenedOn: DateTime }

type Decision =
    | Accepted of customerNumber: int
    | NeedsReview of reason: string
    | Declined of reason: string

/// The form as it arrives: everything is text and may be null.
type Form = { name: string; birthday: string; iban: string; phone: string; street: string; town: string }

// --- Steps ----------------------------------------------------------------------

let private inField field result : Validation<'a> =
    result |> Result.mapError (fun e -> [ { Field = field; Error = e } ])

let private parseDate (s: string) =
    match DateTime.TryParse s with
    | true, date -> Ok date
    | _ -> Error(BadFormat "a date")

let private contact (form: Form) : Validation<Contact> =
    let text field s = Text50.create s |> inField field
    if String.IsNullOrWhiteSpace form.phone then
        validation {
            let! street = text "street" form.street
            and! town = text "town" form.town
            return ByPost(street, town)
        }
    else
        text "phone" form.phone |> Result.map ByPhone

let validate (today: DateTime) (form: Form) : Validation<Applicant> =
    validation {
        let! name = Text50.create form.name |> inField "name"
        and! born = parseDate form.birthday |> Result.bind (Adult.create today) |> inField "birthday"
        and! account = Iban.create form.iban |> inField "iban"
        and! contact = contact form
        return { Name = name; Born = born; Account = account; Contact = contact }
    }

/// The outside world as functions: no interface, no container.
type Dependencies =
    { Today: unit -> DateTime
      OnSanctionsList: Text50 -> Async<bool>
      ExistingCustomer: Iban -> Async<int option>
      NextNumber: unit -> Async<int> }

let decide (deps: Dependencies) (screened: Screened) =
    async {
        match! deps.ExistingCustomer screened.Applicant.Account with
        | Some number -> return NeedsReview(sprintf "account already belongs to customer %d" number)
        | None ->
            let! number = deps.NextNumber()
            return Accepted number
    }

let onboard (deps: Dependencies) (form: Form) : Async<Result<Decision, ValidationError list>> =
    async {
        let today = deps.Today()
        match validate today form with
        | Error errors -> return Error errors
        | Ok applicant ->
            match! deps.OnSanctionsList applicant.Name with
            | true -> return Ok(Declined "name is on a sanctions list")
            | false ->
                let! decision = decide deps { Applicant = applicant; ScreenedOn = today }
                return Ok decision
    }
