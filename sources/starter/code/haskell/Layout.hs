-- | A pretty printer with optimal-for-the-line layout, in the style of Wadler
-- and Leijen, and a formatter for a configuration language on top of it.
--
-- Laziness carries the design: 'fits' looks at a layout only as far as the
-- current line reaches, so choosing between alternatives never builds both.
module Main (main) where

import Data.Char (isAlphaNum)
import Data.List (intersperse)

infixr 6 <+>
infixr 5 </>, <//>

data Doc
  = Empty
  | Text !Int String
  | Line !Bool -- ^ True: a space when flattened; False: nothing
  | Cat Doc Doc
  | Nest !Int Doc
  | Group Doc
  | Column (Int -> Doc) -- ^ depends on where the cursor is
  | Level (Int -> Doc) -- ^ depends on the current indentation

instance Semigroup Doc where
  Empty <> d = d
  d <> Empty = d
  a <> b = Cat a b

instance Monoid Doc where
  mempty = Empty

text :: String -> Doc
text "" = Empty
text s = Text (length s) s

line, softBreak :: Doc
line = Line True
softBreak = Line False

(<+>), (</>), (<//>) :: Doc -> Doc -> Doc
a <+> b = a <> text " " <> b
a </> b = a <> line <> b
a <//> b = a <> softBreak <> b

nest :: Int -> Doc -> Doc
nest = Nest

group :: Doc -> Doc
group = Group

-- | Hanging layout: what follows lines up with the current column.
align :: Doc -> Doc
align d = Column (\column -> Level (\level -> Nest (column - level) d))

punctuate :: Doc -> [Doc] -> Doc
punctuate separator = mconcat . intersperse separator

-- | Brackets around items: on one line if they fit, else one item per line.
enclosed :: String -> String -> [Doc] -> Doc
enclosed open close [] = text (open ++ close)
enclosed open close items =
  group (text open <> nest 2 (softBreak <> punctuate (text "," <> line) items) <//> text close)

data Mode = Flat | Broken

-- | The document as a list of (indentation, mode, part) still to be printed.
type Work = [(Int, Mode, Doc)]

render :: Int -> Doc -> String
render width doc = dropTrailing (go 0 [(0, Broken, doc)])
  where
    go :: Int -> Work -> String
    go _ [] = ""
    go col ((i, mode, d) : rest) = case d of
      Empty -> go col rest
      Text n s -> s ++ go (col + n) rest
      Cat a b -> go col ((i, mode, a) : (i, mode, b) : rest)
      Nest n a -> go col ((i + n, mode, a) : rest)
      Column f -> go col ((i, mode, f col) : rest)
      Level f -> go col ((i, mode, f i) : rest)
      Line spaced -> case mode of
        Flat | spaced -> ' ' : go (col + 1) rest
             | otherwise -> go col rest
        Broken -> '\n' : replicate i ' ' ++ go i rest
      Group a
        | fits (width - col) ((i, Flat, a) : rest) -> go col ((i, Flat, a) : rest)
        | otherwise -> go col ((i, Broken, a) : rest)

    -- Stops at the first line break that will really happen.
    fits :: Int -> Work -> Bool
    fits room _ | room < 0 = False
    fits _ [] = True
    fits room ((i, mode, d) : rest) = case d of
      Empty -> fits room rest
      Text n _ -> fits (room - n) rest
      Cat a b -> fits room ((i, mode, a) : (i, mode, b) : rest)
      Nest n a -> fits room ((i + n, mode, a) : rest)
      Column f -> fits room ((i, mode, f (width - room)) : rest)
      Level f -> fits room ((i, mode, f i) : rest)
      Group a -> fits room ((i, mode, a) : rest)
      Line spaced -> case mode of
        Flat -> fits (if spaced then room - 1 else room) rest
        Broken -> True

    dropTrailing = unlines . map (reverse . dropWhile (== ' ') . reverse) . lines

-- * The configuration language

data Value
  = Str String
  | Num Double
  | Flag Bool
  | List [Value]
  | Record [(String, Value)]
  | Call String [Value]
  | Unless Value Value Value

value :: Value -> Doc
value v = case v of
  Str s -> text (show s)
  Num n | n == fromIntegral whole -> text (show whole)
        | otherwise -> text (show n)
    where whole = round n :: Integer
  Flag b -> text (if b then "yes" else "no")
  List vs -> enclosed "[" "]" (map value vs)
  Record fields -> enclosed "{" "}" [key k <> text ":" <+> value f | (k, f) <- fields]
  Call f args -> text f <> enclosed "(" ")" (map value args)
  Unless test a b ->
    group (align (value a </> text "unless" <+> value test </> text "else" <+> value b))
  where
    key k | all (\c -> isAlphaNum c || c == '_') k = text k
          | otherwise = text (show k)

main :: IO ()
main = mapM_ (\w -> putStrLn (replicate w '-') >> putStr (render w (value sample))) [72, 40]
  where
    sample = Record
      [ ("name", Str "greenhouse-3")
      , ("sensors", List [sensor "air" 21.5, sensor "soil" 17])
      , ("vent", Unless (Call "raining" [Str "roof", Num 10]) (Call "open" [Num 40]) (Str "shut"))
      , ("alarm levels", List (map Num [2, 35, 38.5]))
      , ("enabled", Flag True)
      ]
    sensor place target = Record [("place", Str place), ("target", Num target), ("every", Call "minutes" [Num 5])]
