-- | Lexers from regular expressions, by Brzozowski's derivatives.
--
-- A lexer's state is a vector of regular expressions, one for each rule; reading
-- a character replaces each of them by its derivative. Because the smart
-- constructors keep a normal form, only finitely many vectors arise, and 'compile'
-- tabulates them as a deterministic automaton.
module Main (main) where

import Data.Char (ord)
import qualified Data.IntMap.Strict as IntMap
import qualified Data.Map.Strict as Map
import Data.Maybe (listToMaybe)
import qualified Data.Set as Set

-- | Build with the functions below, never with the constructors.
data Regex
  = Range Int Int -- ^ one character, by its code point, bounds included
  | Epsilon
  | Seq Regex Regex
  | Alt (Set.Set Regex) -- ^ the empty set of alternatives matches nothing
  | Not Regex
  | Star Regex
  deriving (Eq, Ord, Show)

nothing :: Regex
nothing = Alt Set.empty

-- | Sequence. Right-nested, with the unit and the zero taken out.
(.>) :: Regex -> Regex -> Regex
r .> s
  | r == nothing || s == nothing = nothing
  | Epsilon <- r = s
  | Epsilon <- s = r
  | Seq a b <- r = a .> (b .> s)
  | otherwise = Seq r s

-- | Alternatives, up to order, grouping and repetition.
(.|) :: Regex -> Regex -> Regex
r .| s
  | Not nothing `elem` [r, s] = Not nothing
  | [single] <- Set.toList choices = single
  | otherwise = Alt choices
  where
    choices = parts r <> parts s
    parts (Alt rs) = rs
    parts other = Set.singleton other

infixr 6 .>
infixr 4 .|

star, plus, invert :: Regex -> Regex
star r@(Star _) = r
star r = if r `elem` [nothing, Epsilon] then Epsilon else Star r
plus r = r .> star r
invert (Not r) = r
invert r = Not r

range :: Char -> Char -> Regex
range lo hi = Range (ord lo) (ord hi)

literal :: String -> Regex
literal = foldr (\c r -> range c c .> r) Epsilon

-- | Does the expression match the empty string?
nullable :: Regex -> Bool
nullable regex = case regex of
  Range _ _ -> False
  Epsilon -> True
  Seq r s -> nullable r && nullable s
  Alt rs -> any nullable rs
  Not r -> not (nullable r)
  Star _ -> True

-- | What may follow after the character has been read.
derive :: Int -> Regex -> Regex
derive c regex = case regex of
  Range lo hi -> if lo <= c && c <= hi then Epsilon else nothing
  Epsilon -> nothing
  Seq r s -> derive c r .> s .| (if nullable r then derive c s else nothing)
  Alt rs -> foldr ((.|) . derive c) nothing rs
  Not r -> invert (derive c r)
  Star r -> derive c r .> regex

-- | Code points at which the derivative may change: between two of them all
-- characters behave alike, so that one of each stretch is enough.
boundaries :: Regex -> Set.Set Int
boundaries regex = case regex of
  Range lo hi -> Set.fromList [lo, hi + 1]
  Epsilon -> Set.empty
  Seq r s -> if nullable r then boundaries r <> boundaries s else boundaries r
  Alt rs -> foldMap boundaries rs
  Not r -> boundaries r
  Star r -> boundaries r

-- | Transitions are keyed by the first code point of each stretch.
data State tag = State {accepts :: Maybe tag, moves :: IntMap.IntMap Int, dead :: Bool}

compile :: [(tag, Regex)] -> IntMap.IntMap (State tag)
compile tagged = explore (Map.singleton start 0) IntMap.empty [start]
  where
    start = map snd tagged
    explore _ done [] = done
    explore ids done (v : queue) = explore ids' (IntMap.insert (ids Map.! v) state done) (queue ++ new)
      where
        steps = [(c, map (derive c) v) | c <- 0 : Set.toList (Set.filter (<= ord maxBound) (foldMap boundaries v))]
        new = Set.toList (Set.fromList [w | (_, w) <- steps, w `Map.notMember` ids])
        ids' = foldr (\w m -> Map.insert w (Map.size m) m) ids new
        state = State winner (IntMap.fromList [(c, ids' Map.! w) | (c, w) <- steps]) (all (== nothing) v)
        winner = listToMaybe [tag | (tag, r) <- zip (map fst tagged) v, nullable r]

-- | Longest match first, the earlier rule on a tie. The text after the last
-- token is returned too; it is empty when all of the input could be read.
tokenize :: IntMap.IntMap (State tag) -> String -> ([(tag, String)], String)
tokenize table input = case longest 0 0 input Nothing of
  Just (tag, n) | (lexeme, rest) <- splitAt n input -> let (more, left) = tokenize table rest in ((tag, lexeme) : more, left)
  Nothing -> ([], input)
  where
    longest _ _ [] best = best
    longest s n (c : cs) best
      | dead next = best
      | otherwise = longest s' (n + 1) cs (maybe best (\tag -> Just (tag, n + 1)) (accepts next))
      where
        s' = maybe s snd (IntMap.lookupLE (ord c) (moves (table IntMap.! s)))
        next = table IntMap.! s'

data Kind = Keyword | Name | Number | Operator | Comment | Blank
  deriving (Eq, Show)

-- | The comment rule is the reason for 'Not': anything without a closer inside.
rules :: [(Kind, Regex)]
rules =
  [ (Keyword, foldr ((.|) . literal) nothing ["let", "in", "where"])
  , (Name, letter .> star (letter .| digit))
  , (Number, plus digit .> (Epsilon .| literal "." .> plus digit))
  , (Operator, foldr ((.|) . literal) nothing ["+", "*", "/", "=", "==", "(", ")"])
  , (Comment, literal "/*" .> invert (anything .> literal "*/" .> anything) .> literal "*/")
  , (Blank, plus (literal " " .| literal "\n"))
  ]
  where
    letter = range 'a' 'z' .| range 'A' 'Z' .| literal "_"
    digit = range '0' '9'
    anything = star (range minBound maxBound)

main :: IO ()
main = do
  let table = compile rules
      (tokens, left) = tokenize table "let rate = 2.5 /* per * hour */ in rate2 == (7/inner) ?"
  putStrLn (show (IntMap.size table) ++ " states")
  mapM_ print [t | t <- tokens, fst t /= Blank]
  putStrLn ("unread: " ++ show left)
