(* A line-based chat server on one thread: Unix.select, no library.

   Each client owns an input and an output buffer. A client that does not read is
   not allowed to hold up the others: its output queue is bounded, and when the
   bound is reached the client is dropped. *)

module Clients = Map.Make (struct type t = Unix.file_descr let compare = compare end)

type client = {
  fd : Unix.file_descr;
  peer : string;
  input : Buffer.t;
  output : Bytes.t Queue.t;
  mutable sent : int; (* how much of the head of [output] is gone *)
  mutable queued : int;
  mutable nick : string option;
  mutable closing : bool;
}

let max_line = 512
let max_queued = 64 * 1024

type server = { listener : Unix.file_descr; mutable clients : client Clients.t }

let log fmt = Printf.ksprintf (fun s -> Printf.eprintf "%.0f %s\n%!" (Unix.time ()) s) fmt

let send c line =
  if not c.closing then begin
    let data = Bytes.of_string (line ^ "\r\n") in
    c.queued <- c.queued + Bytes.length data;
    if c.queued <= max_queued then Queue.add data c.output
    else begin
      log "%s does not read, dropping" c.peer;
      c.closing <- true;
      Queue.clear c.output
    end
  end

let broadcast ?except server line =
  Clients.iter
    (fun _ c -> match c.nick, except with
       | None, _ -> ()
       | Some _, Some e when e == c -> ()
       | Some _, _ -> send c line)
    server.clients

let valid_nick s =
  let ok = function 'a' .. 'z' | 'A' .. 'Z' | '0' .. '9' | '_' | '-' -> true | _ -> false in
  s <> "" && String.length s <= 16 && String.for_all ok s

let nick_taken server s = Clients.exists (fun _ c -> c.nick = Some s) server.clients

let handle server c line =
  match c.nick, List.filter (( <> ) "") (String.split_on_char ' ' line) with
  | _, [] -> ()
  | _, "/quit" :: _ -> send c "bye"; c.closing <- true
  | _, [ "/nick"; name ] when not (valid_nick name) -> send c "! use 1 to 16 letters, digits, _ or -"
  | _, [ "/nick"; name ] when nick_taken server name -> send c ("! " ^ name ^ " is taken")
  | old, [ "/nick"; name ] ->
    c.nick <- Some name;
    broadcast server
      (match old with
       | None -> "* " ^ name ^ " joins"
       | Some old -> Printf.sprintf "* %s is now %s" old name)
  | _, "/who" :: _ ->
    Clients.iter (fun _ other -> Option.iter (fun n -> send c ("- " ^ n)) other.nick) server.clients
  | None, _ -> send c "! choose a name first: /nick NAME"
  | Some me, "/me" :: rest -> broadcast server (Printf.sprintf "* %s %s" me (String.concat " " rest))
  | Some _, command :: _ when command.[0] = '/' -> send c ("! no such command " ^ command)
  | Some me, _ -> broadcast ~except:c server (Printf.sprintf "<%s> %s" me line)

(* Control characters would let one user move another one's cursor about. *)
let sanitize s = String.map (fun ch -> if ch < ' ' || ch = '\127' then ' ' else ch) s

let rec drain_lines server c =
  let text = Buffer.contents c.input in
  match String.index_opt text '\n' with
  | None -> if String.length text > max_line then (send c "! line too long"; c.closing <- true)
  | Some i ->
    Buffer.clear c.input;
    Buffer.add_substring c.input text (i + 1) (String.length text - i - 1);
    handle server c (String.trim (sanitize (String.sub text 0 i)));
    if not c.closing then drain_lines server c

let drop server c reason =
  server.clients <- Clients.remove c.fd server.clients;
  (try Unix.close c.fd with Unix.Unix_error _ -> ());
  log "%s leaves (%s)" c.peer reason;
  Option.iter (fun n -> broadcast server ("* " ^ n ^ " leaves")) c.nick

let scratch = Bytes.create 4096

(* EAGAIN is not an error here; anything else ends the connection. *)
let guarded server c f =
  try f () with
  | Unix.Unix_error ((EAGAIN | EWOULDBLOCK | EINTR), _, _) -> ()
  | Unix.Unix_error (e, _, _) -> drop server c (Unix.error_message e)

let on_readable server c =
  guarded server c (fun () ->
      match Unix.read c.fd scratch 0 (Bytes.length scratch) with
      | 0 -> drop server c "end of stream"
      | n ->
        Buffer.add_subbytes c.input scratch 0 n;
        drain_lines server c)

let on_writable server c =
  guarded server c (fun () ->
      match Queue.peek_opt c.output with
      | None -> ()
      | Some data ->
        let n = Unix.write c.fd data c.sent (Bytes.length data - c.sent) in
        c.sent <- c.sent + n;
        c.queued <- c.queued - n;
        if c.sent = Bytes.length data then begin
          ignore (Queue.pop c.output);
          c.sent <- 0
        end)

let accept server =
  let fd, address = Unix.accept ~cloexec:true server.listener in
  Unix.set_nonblock fd;
  let peer = match address with
    | ADDR_INET (host, port) -> Printf.sprintf "%s:%d" (Unix.string_of_inet_addr host) port
    | ADDR_UNIX path -> path
  in
  let c = { fd; peer; input = Buffer.create 128; output = Queue.create (); sent = 0; queued = 0; nick = None; closing = false } in
  server.clients <- Clients.add fd c server.clients;
  send c "* welcome; /nick NAME to join, /who, /me, /quit"

let rec loop server =
  let all = List.map snd (Clients.bindings server.clients) in
  let reading = List.filter (fun c -> not c.closing) all and writing = List.filter (fun c -> not (Queue.is_empty c.output)) all in
  let fds = List.map (fun c -> c.fd) in
  let readable, writable, _ = Unix.select (server.listener :: fds reading) (fds writing) [] 30. in
  let each f fd = Option.iter f (Clients.find_opt fd server.clients) in
  List.iter (fun fd -> if fd = server.listener then accept server else each (on_readable server) fd) readable;
  List.iter (each (on_writable server)) writable;
  Clients.iter (fun _ c -> if c.closing && Queue.is_empty c.output then drop server c "closed") server.clients;
  loop server

let () =
  Sys.set_signal Sys.sigpipe Sys.Signal_ignore;
  let listener = Unix.(socket ~cloexec:true PF_INET SOCK_STREAM 0) in
  Unix.setsockopt listener SO_REUSEADDR true;
  Unix.bind listener (ADDR_INET (Unix.inet_addr_loopback, 6680));
  Unix.listen listener 32;
  loop { listener; clients = Clients.empty }
