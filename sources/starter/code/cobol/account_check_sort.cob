       IDENTIFICATION DIVISION.
       PROGRAM-ID. ACCTSORT.
      *> Checks account numbers (ISO 7064 MOD 97-10) and totals the
      *> payments by bank. The input procedure of the SORT drops bad
      *> records, its output procedure forms the groups.

       ENVIRONMENT DIVISION.
       INPUT-OUTPUT SECTION.
       FILE-CONTROL.
           SELECT PAYMENTS ASSIGN TO "PAYMENTS"
               ORGANIZATION IS LINE SEQUENTIAL
               FILE STATUS IS PAY-STATUS.
           SELECT SORT-WORK ASSIGN TO "SORTWK1".

       DATA DIVISION.
       FILE SECTION.
       FD  PAYMENTS.
       01  PAY-REC.
           05  PAY-ACCOUNT         PIC X(34).
           05  PAY-CENTS           PIC 9(11).

       SD  SORT-WORK.
       01  SRT-REC.
           05  SRT-BANK            PIC X(8).
           05  SRT-CENTS           PIC 9(11).

       WORKING-STORAGE SECTION.
       01  PAY-STATUS              PIC XX.
           88  PAY-END             VALUE "10".
       01  CHECK-AREA.
           05  COMPACT             PIC X(34).
           05  TURNED              PIC X(38).
           05  ACCT-LEN            PIC 9(2)  COMP-5.
           05  SCAN-POS            PIC 9(2)  COMP-5.
           05  ONE-CHAR            PIC X.
           05  CHAR-VALUE          PIC 9(3)  COMP-5.
           05  RESIDUE             PIC 9(6)  COMP-5.
       01  ACCOUNT-SWITCH          PIC 9.
           88  ACCOUNT-GOOD        VALUE 1 FALSE 0.
       01  TOTALS.
           05  BANK-CENTS          PIC 9(13)  COMP-3.
           05  BANK-COUNT          PIC 9(7)   COMP-3.
           05  BAD-COUNT           PIC 9(7)   COMP-3 VALUE ZERO.
           05  PRIOR-BANK          PIC X(8).
       01  OUT-LINE.
           05  OUT-BANK            PIC X(10).
           05  OUT-COUNT           PIC Z(6)9.
           05  OUT-AMOUNT          PIC Z(3),Z(3),Z(3),ZZ9.99.
       01  EOF-SWITCH              PIC X     VALUE "N".
           88  SORT-DONE           VALUE "Y".

       PROCEDURE DIVISION.
       MAIN-PARA.
           SORT SORT-WORK ON ASCENDING KEY SRT-BANK
               INPUT PROCEDURE IS SELECT-GOOD
               OUTPUT PROCEDURE IS REPORT-BANKS
           DISPLAY "REJECTED " BAD-COUNT
           IF BAD-COUNT > ZERO
               MOVE 4 TO RETURN-CODE
           END-IF
           GOBACK.

       SELECT-GOOD SECTION.
       SELECT-START.
           OPEN INPUT PAYMENTS
           IF PAY-STATUS NOT = "00"
               DISPLAY "NO PAYMENTS FILE, STATUS " PAY-STATUS
               EXIT SECTION
           END-IF
           PERFORM UNTIL PAY-END
               READ PAYMENTS
                   AT END CONTINUE
                   NOT AT END
                       PERFORM CHECK-ACCOUNT
                       IF ACCOUNT-GOOD
                           MOVE COMPACT (1:8) TO SRT-BANK
                           MOVE PAY-CENTS TO SRT-CENTS
                           RELEASE SRT-REC
                       ELSE
                           ADD 1 TO BAD-COUNT
                           DISPLAY "BAD ACCOUNT " PAY-ACCOUNT
                       END-IF
               END-READ
           END-PERFORM
           CLOSE PAYMENTS.

       REPORT-BANKS SECTION.
       REPORT-START.
           PERFORM NEXT-SORTED
           PERFORM UNTIL SORT-DONE
               MOVE SRT-BANK TO PRIOR-BANK
               MOVE ZERO TO BANK-CENTS BANK-COUNT
               PERFORM UNTIL SORT-DONE OR SRT-BANK NOT = PRIOR-BANK
                   ADD SRT-CENTS TO BANK-CENTS
                   ADD 1 TO BANK-COUNT
                   PERFORM NEXT-SORTED
               END-PERFORM
               MOVE PRIOR-BANK TO OUT-BANK
               MOVE BANK-COUNT TO OUT-COUNT
               COMPUTE OUT-AMOUNT = BANK-CENTS / 100
               DISPLAY OUT-LINE
           END-PERFORM.

       HELPERS SECTION.
       NEXT-SORTED.
           RETURN SORT-WORK AT END SET SORT-DONE TO TRUE END-RETURN.

      *> The country code and check digits go to the end; letters count
      *> as 10 to 35. The residue is kept small digit by digit.
       CHECK-ACCOUNT.
           SET ACCOUNT-GOOD TO FALSE
           MOVE SPACES TO COMPACT
           MOVE ZERO TO ACCT-LEN
           PERFORM VARYING SCAN-POS FROM 1 BY 1 UNTIL SCAN-POS > 34
               IF PAY-ACCOUNT (SCAN-POS:1) NOT = SPACE
                   ADD 1 TO ACCT-LEN
                   MOVE PAY-ACCOUNT (SCAN-POS:1) TO COMPACT (ACCT-LEN:1)
               END-IF
           END-PERFORM
           MOVE FUNCTION UPPER-CASE (COMPACT) TO COMPACT
           IF ACCT-LEN < 15 OR COMPACT (1:2) IS NOT ALPHABETIC
               EXIT PARAGRAPH
           END-IF
           MOVE SPACES TO TURNED
           STRING COMPACT (5:ACCT-LEN - 4) COMPACT (1:4)
               DELIMITED BY SIZE INTO TURNED
           MOVE ZERO TO RESIDUE
           PERFORM VARYING SCAN-POS FROM 1 BY 1
                   UNTIL SCAN-POS > ACCT-LEN
               MOVE TURNED (SCAN-POS:1) TO ONE-CHAR
               IF ONE-CHAR IS NUMERIC
                   COMPUTE RESIDUE = FUNCTION MOD
                       (RESIDUE * 10 + FUNCTION NUMVAL (ONE-CHAR), 97)
               ELSE
                   COMPUTE CHAR-VALUE = FUNCTION ORD (ONE-CHAR) - 56
                   IF CHAR-VALUE < 10 OR CHAR-VALUE > 35
                       EXIT PARAGRAPH
                   END-IF
                   COMPUTE RESIDUE =
                       FUNCTION MOD (RESIDUE * 100 + CHAR-VALUE, 97)
               END-IF
           END-PERFORM
           IF RESIDUE = 1
               SET ACCOUNT-GOOD TO TRUE
           END-IF.
