/// Timed auctions as agents. Every auction is a MailboxProcessor that owns its
/// state; a house agent starts them, supervises them and routes bids.
module Auctions.AuctionHouse

open System

type Bidder = Bidder of string
type Lot = Lot of string

type Money = int64 // minor units of one currency
type Bid = { Bidder: Bidder; Limit: Money; At: DateTime }

type Refusal =
    | TooLow of minimum: Money
    | Closed
    | NoSuchLot

type Verdict =
    | Leading of price: Money
    | Outbid of price: Money
    | Refused of Refusal

type Outcome = Sold of Bidder * Money | Unsold

type Terms =
    { Opening: Money
      Reserve: Money
      Step: Money
      Ends: DateTime
      /// A bid in the last moments extends the auction by this much.
      Extension: TimeSpan }

// --- Pure core ------------------------------------------------------------------

type State =
    { Terms: Terms
      Price: Money
      Best: Bid option
      Ends: DateTime }

module State =
    let start (terms: Terms) =
        { Terms = terms; Price = terms.Opening; Best = None; Ends = terms.Ends }

    let private extend (now: DateTime) (state: State) =
        { state with Ends = max state.Ends (now + state.Terms.Extension) }

    /// Proxy bidding: the leader pays one step more than the runner-up's limit,
    /// and an earlier bid wins against a later one of the same height.
    let place (bid: Bid) state : State * Verdict =
        let minimum =
            match state.Best with
            | None -> state.Terms.Opening
            | Some _ -> state.Price + state.Terms.Step
        match state.Best with
        | _ when bid.At >= state.Ends -> state, Refused Closed
        | Some best when best.Bidder = bid.Bidder && bid.Limit > best.Limit ->
            // Raising one's own limit does not raise the price.
            { state with Best = Some bid }, Leading state.Price
        | _ when bid.Limit < minimum -> state, Refused(TooLow minimum)
        | None -> extend bid.At { state with Best = Some bid }, Leading state.Price
        | Some best when bid.Limit > best.Limit ->
            let price = min bid.Limit (best.Limit + state.Terms.Step)
            extend bid.At { state with Best = Some bid; Price = price }, Leading price
        | Some best ->
            let price = min best.Limit (bid.Limit + state.Terms.Step)
            extend bid.At { state with Price = price }, Outbid price

    let result state =
        match state.Best with
        | Some best when best.Limit >= state.Terms.Reserve ->
            Sold(best.Bidder, max state.Price state.Terms.Reserve)
        | _ -> Unsold

// --- Agents ---------------------------------------------------------------------

type private AuctionMessage =
    | Place of Bid * AsyncReplyChannel<Verdict>
    | Watch of AsyncReplyChannel<Money * DateTime>

type private HouseMessage =
    | Open of Lot * Terms * AsyncReplyChannel<bool>
    | Offer of Lot * Bid * AsyncReplyChannel<Verdict>
    | Prices of AsyncReplyChannel<(Lot * Money * DateTime) list>
    | Ended of Lot * Outcome
let private auction (clock: unit -> DateTime) terms (ended: Outcome -> unit) =
    MailboxProcessor.Start(fun inbox ->
        let rec loop state =
            async {
                let left = state.Ends - clock ()
                if left <= TimeSpan.Zero then
                    ended (State.result state)
                else
                    // The timeout is the closing bell; there is no separate timer.
                    match! inbox.TryReceive(int (min left.TotalMilliseconds 60000.0) + 1) with
                    | None -> return! loop state
                    | Some(Watch reply) ->
                        reply.Reply(state.Price, state.Ends)
                        return! loop state
                    | Some(Place(bid, reply)) ->
                        let state, verdict = State.place bid state
                        reply.Reply verdict
                        return! loop state
            }
        loop (State.start terms))

type AuctionHouse(clock: unit -> DateTime, onOutcome: Lot -> Outcome -> unit) =
    let agent =
        MailboxProcessor.Start(fun inbox ->
            let rec loop (live: Map<Lot, MailboxProcessor<AuctionMessage>>) =
                async {
                    match! inbox.Receive() with
                    | Open(lot, _, reply) when live.ContainsKey lot ->
                        reply.Reply false
                        return! loop live
                    | Open(lot, terms, reply) ->
                        let child = auction clock terms (fun r -> inbox.Post(Ended(lot, r)))
                        child.Error.Add(fun _ -> inbox.Post(Ended(lot, Unsold)))
                        reply.Reply true
                        return! loop (live.Add(lot, child))
                    | Offer(lot, bid, reply) ->
                        match live.TryFind lot with
                        | Some child -> child.Post(Place(bid, reply)) // the child answers directly
                        | None -> reply.Reply(Refused NoSuchLot)
                        return! loop live
                    | Prices reply ->
                        let ask (lot, child: MailboxProcessor<AuctionMessage>) =
                            async {
                                let! answer = child.PostAndTryAsyncReply(Watch, timeout = 200)
                                return answer |> Option.map (fun (price, ends) -> lot, price, ends)
                            }
                        let! prices = live |> Map.toSeq |> Seq.map ask |> Async.Parallel
                        reply.Reply(prices |> Array.choose id |> Array.toList)
                        return! loop live
                    | Ended(lot, result) ->
                        onOutcome lot result
                        return! loop (live.Remove lot)
                }
            loop Map.empty)

    member _.Open(lot, terms) = agent.PostAndAsyncReply(fun reply -> Open(lot, terms, reply))
    member _.Prices() = agent.PostAndAsyncReply Prices
    member _.Bid(lot, bidder, limit) =
        let bid = { Bidder = bidder; Limit = limit; At = clock () }
        // A lot may close between routing and delivery; then nobody replies.
        async {
            let! verdict = agent.PostAndTryAsyncReply((fun reply -> Offer(lot, bid, reply)), timeout = 2000)
            return defaultArg verdict (Refused Closed)
        }
