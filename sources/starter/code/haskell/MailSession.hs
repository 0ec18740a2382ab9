{-# LANGUAGE DataKinds #-}
{-# LANGUAGE GADTs #-}
{-# LANGUAGE KindSignatures #-}
{-# LANGUAGE LambdaCase #-}
{-# LANGUAGE RankNTypes #-}
{-# LANGUAGE ScopedTypeVariables #-}
{-# LANGUAGE StandaloneDeriving #-}

-- | The client side of a mail submission dialogue as an indexed program.
--
-- The state of the connection is a type-level index, so that a program which
-- sends DATA before RCPT TO, or anything after QUIT, is rejected by GHC. Programs
-- are plain values: the same one can be run over a socket, printed as a
-- transcript, or played against a scripted server in a test.
module Main (main) where

import Data.Kind (Type)
import Data.List (isPrefixOf, stripPrefix)

data Stage = Fresh | Greeted | Addressed | Closed

newtype Address = Address String
  deriving (Eq, Show)

-- | Commands, with the stage that they need and the stage that they lead to.
data Command (before :: Stage) (after :: Stage) (result :: Type) where
  Hello :: String -> Command 'Fresh 'Greeted [Extension]
  MailFrom :: Address -> Command 'Greeted 'Greeted ()
  RcptTo :: Address -> Command s 'Addressed Verdict
  Content :: [String] -> Command 'Addressed 'Greeted QueueId
  Reset :: Command 'Addressed 'Greeted ()
  Quit :: Command s 'Closed ()

deriving instance Show (Command b a r)

data Extension = Pipelining | SizeLimit Int | EightBit | Other String
  deriving (Eq, Show)

data Verdict = Accepted | Refused Reply
  deriving (Eq, Show)

newtype QueueId = QueueId String
  deriving (Eq, Show)

data Reply = Reply {replyCode :: Int, replyLines :: [String]}
  deriving (Eq, Show)

-- | A free indexed monad over 'Command'.
data Program (before :: Stage) (after :: Stage) (a :: Type) where
  Return :: a -> Program s s a
  Bind :: Command i j r -> (r -> Program j k a) -> Program i k a

send :: Command i j r -> Program i j r
send c = Bind c Return

infixl 1 >>>=, >>>

(>>>=) :: Program i j a -> (a -> Program j k b) -> Program i k b
Return a >>>= f = f a
Bind c k >>>= f = Bind c (\r -> k r >>>= f)

(>>>) :: Program i j a -> Program j k b -> Program i k b
p >>> q = p >>>= const q

-- | Sends one message to a main recipient and any number of copies, then leaves.
-- A refusal of a copy is reported and does not stop the delivery.
deliver :: Address -> Address -> [Address] -> [String] -> Program 'Fresh 'Closed (Either Reply QueueId, [Address])
deliver from to copies body =
  send (Hello "client.example.org") >>>= \_ ->
    send (MailFrom from) >>>
      send (RcptTo to) >>>= \case
        Refused reply -> send Quit >>> Return (Left reply, copies)
        Accepted ->
          addCopies copies [] >>>= \refused ->
            send (Content (map stuff body)) >>>= \queued ->
              send Quit >>> Return (Right queued, refused)
  where
    -- A line with a single dot ends the message, so leading dots are doubled.
    stuff line = if "." `isPrefixOf` line then '.' : line else line

addCopies :: [Address] -> [Address] -> Program 'Addressed 'Addressed [Address]
addCopies [] refused = Return (reverse refused)
addCopies (a : as) refused =
  send (RcptTo a) >>>= \case
    Accepted -> addCopies as refused
    Refused _ -> addCopies as (a : refused)

-- | The wire form of a command, one line per element.
encode :: Command i j r -> [String]
encode = \case
  Hello host -> ["EHLO " ++ host]
  MailFrom (Address a) -> ["MAIL FROM:<" ++ a ++ ">"]
  RcptTo (Address a) -> ["RCPT TO:<" ++ a ++ ">"]
  Content body -> "DATA" : body ++ ["."]
  Reset -> ["RSET"]
  Quit -> ["QUIT"]

-- | What a reply means for the command that it answers. The GADT tells the
-- compiler which result type each branch has to give.
interpret :: Command i j r -> Reply -> Either Reply r
interpret command reply = case command of
  Hello _ -> expect 250 (map extension (drop 1 (replyLines reply)))
  MailFrom _ -> expect 250 ()
  RcptTo _
    | replyCode reply `elem` [250, 251] -> Right Accepted
    | replyCode reply `div` 100 == 5 -> Right (Refused reply)
    | otherwise -> Left reply
  Content _ -> expect 250 (QueueId (last (words (concat (replyLines reply)))))
  Reset -> expect 250 ()
  Quit -> Right ()
  where
    expect :: Int -> a -> Either Reply a
    expect code value = if replyCode reply == code then Right value else Left reply

extension :: String -> Extension
extension line
  | line == "PIPELINING" = Pipelining
  | line == "8BITMIME" = EightBit
  | Just limit <- stripPrefix "SIZE " line, [(n, "")] <- reads limit = SizeLimit n
  | otherwise = Other line

-- | Runs a program against any way of exchanging a command for a reply.
run :: forall m s t b. Monad m => (forall i j r. Command i j r -> m Reply) -> Program s t b -> m (Either Reply b)
run exchange = go
  where
    go :: Program i j a -> m (Either Reply a)
    go (Return a) = pure (Right a)
    go (Bind c k) = do
      reply <- exchange c
      either (pure . Left) (go . k) (interpret c reply)

-- | A server for tests: knows some mailboxes and prints the dialogue.
scripted :: [Address] -> Command i j r -> IO Reply
scripted known command = do
  mapM_ (putStrLn . ("C: " ++)) (encode command)
  let reply = case command of
        Hello _ -> Reply 250 ["mx.example.org", "PIPELINING", "SIZE 35882577"]
        RcptTo a | a `notElem` known -> Reply 550 ["no such mailbox here"]
        Content _ -> Reply 250 ["queued as 4Q7Zk"]
        Quit -> Reply 221 ["bye"]
        _ -> Reply 250 ["ok"]
  mapM_ (putStrLn . (("S: " ++ show (replyCode reply) ++ " ") ++)) (replyLines reply)
  pure reply

main :: IO ()
main = run (scripted known) program >>= print
  where
    at user = Address (user ++ "@" ++ "example.org")
    known = map at ["desk", "archive"]
    program = deliver (at "robot") (at "desk") [at "archive", at "nobody"] ["Subject: backup", "", "All good.", "."]
