-- | A small Datalog: facts and Horn clauses on standard input, answers to the
-- queries on standard output.
--
-- > parent(ada, ben).   parent(ben, cy).
-- > ancestor(X, Y) :- parent(X, Y).
-- > ancestor(X, Z) :- parent(X, Y), ancestor(Y, Z).
-- > ?- ancestor(ada, Who).
--
-- Evaluation is bottom-up and semi-naive: in each round a rule fires only with
-- at least one of its body atoms matched against a tuple found in the round
-- before, so that no derivation is made twice from old facts alone.
module Main (main) where

import Control.Monad (foldM, unless, void)
import Data.Char (isAlphaNum, isAsciiUpper, isDigit, isLower, isSpace)
import Data.List (intercalate, nub)
import Data.Map.Strict (Map)
import qualified Data.Map.Strict as Map
import Data.Set (Set)
import qualified Data.Set as Set
import System.Exit (die)
import Text.ParserCombinators.ReadP

data Term = Var String | Sym String
  deriving (Eq, Ord)

data Atom = Atom {predicate :: String, arguments :: [Term]}
  deriving (Eq, Ord)

-- | A fact is a clause whose body is empty.
data Clause = Atom :- [Atom]

data Statement = Assert Clause | Query [Atom]

instance Show Term where
  show (Var v) = v
  show (Sym s) = s

instance Show Atom where
  show (Atom p ts) = p ++ "(" ++ intercalate ", " (map show ts) ++ ")"

-- Syntax ---------------------------------------------------------------------

lexeme :: ReadP a -> ReadP a
lexeme p = p <* blanks

-- | White space and comments, which run from a percent sign to the line's end.
-- Greedy ('<++'), so that there is one way only to read them.
blanks :: ReadP ()
blanks = (munch1 isSpace *> blanks) <++ (char '%' *> munch (/= '\n') *> blanks) <++ pure ()

token :: String -> ReadP ()
token = void . lexeme . string

identifier :: (Char -> Bool) -> ReadP String
identifier starts = lexeme ((:) <$> satisfy starts <*> munch (\c -> isAlphaNum c || c == '_'))

term :: ReadP Term
term = (Var <$> identifier isAsciiUpper) +++ (Sym <$> identifier (\c -> isLower c || isDigit c))

atom :: ReadP Atom
atom = Atom <$> identifier isLower <*> between (token "(") (token ")") (term `sepBy1` token ",")

statement :: ReadP Statement
statement = (query +++ clause) <* token "."
  where
    query = Query <$> (token "?-" *> conjunction)
    clause = (\h b -> Assert (h :- b)) <$> atom <*> option [] (token ":-" *> conjunction)
    conjunction = atom `sepBy1` token ","

parseProgram :: String -> Either String [Statement]
parseProgram source = case readP_to_S (blanks *> many statement <* eof) source of
  (program, _) : _ -> Right program
  [] -> Left ("cannot read the program; last good statement: number " ++ show readable)
  where
    readable = maximum (0 : [length ss | (ss, _) <- readP_to_S (blanks *> many statement) source])

-- | Every variable of a head has to occur in the body; otherwise the relation
-- would be infinite. A fact must therefore be ground.
checkSafety :: Clause -> Either String ()
checkSafety (h :- body) =
  unless (null loose) . Left $ "unsafe clause for " ++ show h ++ ": unbound " ++ unwords loose
  where
    loose = [v | v <- variables [h], v `notElem` variables body]

variables :: [Atom] -> [String]
variables atoms = nub [v | a <- atoms, Var v <- arguments a]

-- Evaluation -----------------------------------------------------------------

type Tuple = [String]
type Database = Map String (Set Tuple)
type Binding = Map String String

-- | Extend a binding so that the atom's arguments become the tuple.
match :: Binding -> [Term] -> Tuple -> Maybe Binding
match binding ts values
  | length ts /= length values = Nothing
  | otherwise = foldM step binding (zip ts values)
  where
    step b (Sym s, v) = if s == v then Just b else Nothing
    step b (Var x, v) = case Map.lookup x b of
      Nothing -> Just (Map.insert x v b)
      Just bound -> if bound == v then Just b else Nothing

-- | All ways to satisfy a conjunction, each atom with a database of its own.
solve :: [(Database, Atom)] -> [Binding]
solve = foldM extend Map.empty
  where
    extend b (db, Atom p ts) =
      [b' | tuple <- Set.toList (Map.findWithDefault Set.empty p db), Just b' <- [match b ts tuple]]

instantiate :: Binding -> Atom -> Tuple
instantiate b (Atom _ ts) = [case t of Sym s -> s; Var v -> b Map.! v | t <- ts]

-- | The rule's consequences that lean on the delta. Atoms left of the chosen
-- one see old facts only, those to its right see everything.
fire :: Database -> Database -> Clause -> Database
fire old delta (h :- body) = Map.singleton (predicate h) (Set.fromList derived)
  where
    everything = Map.unionWith Set.union old delta
    derived = [instantiate b h | i <- [0 .. length body - 1], b <- solve (sources i)]
    sources i = zip (replicate i old ++ [delta] ++ repeat everything) body

-- | The least model of the clauses.
saturate :: [Clause] -> Database
saturate clauses = go Map.empty (union facts)
  where
    facts = [Map.singleton (predicate h) (Set.singleton (instantiate Map.empty h)) | h :- [] <- clauses]
    rules = [c | c@(_ :- (_ : _)) <- clauses]
    union = Map.unionsWith Set.union
    go old delta
      | all Set.null delta = old
      | otherwise = go known (Map.differenceWith (\new seen -> Just (new Set.\\ seen)) found known)
      where
        known = union [old, delta]
        found = union (map (fire old delta) rules)

main :: IO ()
main = do
  program <- either die pure . parseProgram =<< getContents
  let clauses = [c | Assert c <- program]
  either die pure (mapM_ checkSafety clauses)
  let model = saturate clauses
  sequence_ [putStrLn (unlines (answers model goals)) | Query goals <- program]
  where
    answers model goals = case solve [(model, g) | g <- goals] of
      [] -> ["no."]
      found -> nub [intercalate ", " ("yes" : [v ++ " = " ++ x | (v, x) <- Map.toList b]) | b <- found]
