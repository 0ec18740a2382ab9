       IDENTIFICATION DIVISION.
       PROGRAM-ID. METERBIL.
      *> Bills water consumption with a block tariff held in a table and
      *> prints a report with page breaks and a total per district.

       ENVIRONMENT DIVISION.
       INPUT-OUTPUT SECTION.
       FILE-CONTROL.
           SELECT READINGS ASSIGN TO "READINGS"
               ORGANIZATION IS LINE SEQUENTIAL.
           SELECT BILLS ASSIGN TO "BILLS.TXT"
               ORGANIZATION IS LINE SEQUENTIAL.

       DATA DIVISION.
       FILE SECTION.
       FD  READINGS.
       01  RDG-REC.
           03  RDG-DISTRICT        PIC 99.
           03  RDG-METER           PIC 9(6).
           03  RDG-DIALS           PIC 9.
           03  RDG-OLD             PIC 9(6).
           03  RDG-NEW             PIC 9(6).

       FD  BILLS.
       01  BILL-LINE               PIC X(60).

       WORKING-STORAGE SECTION.
       01  TARIFF-VALUES.
           03  FILLER              PIC X(12)   VALUE "000010004250".
           03  FILLER              PIC X(12)   VALUE "000030007800".
           03  FILLER              PIC X(12)   VALUE "999999013050".
       01  TARIFF REDEFINES TARIFF-VALUES.
           03  STEP-ROW OCCURS 3 INDEXED BY BX.
               05  STEP-TOP       PIC 9(6).
               05  STEP-RATE      PIC 9(3)V9(3).

       01  SWITCHES.
           03  FILLER              PIC X       VALUE "N".
               88  END-OF-READINGS             VALUE "Y".

       01  WORK-AREA.
           03  USED                PIC S9(7)   COMP.
           03  REMAINING           PIC S9(7)   COMP.
           03  SLICE               PIC S9(7)   COMP.
           03  STEP-FLOOR         PIC S9(7)   COMP.
           03  DIAL-RANGE          PIC 9(7)    COMP.
           03  CHARGE              PIC 9(6)V99 COMP-3.
           03  DISTRICT-TOTAL      PIC 9(8)V99 COMP-3 VALUE ZERO.
           03  PRIOR-DISTRICT      PIC 99      VALUE ZERO.
           03  LINES-LEFT          PIC 99      COMP VALUE ZERO.
           03  PAGE-NO             PIC 999     COMP VALUE ZERO.

       01  HEADING-LINE.
           03  FILLER              PIC X(10)   VALUE "DISTRICT ".
           03  HDG-DISTRICT        PIC 99.
           03  FILLER              PIC X(30)   VALUE SPACES.
           03  FILLER              PIC X(5)    VALUE "PAGE ".
           03  HDG-PAGE            PIC ZZ9.
       01  DETAIL-LINE.
           03  DTL-METER           PIC 9(6).
           03  FILLER              PIC X(4)    VALUE SPACES.
           03  DTL-USED            PIC Z,ZZZ,ZZ9.
           03  FILLER              PIC X(4)    VALUE SPACES.
           03  DTL-CHARGE          PIC $$$$,$$9.99.
           03  DTL-NOTE            PIC X(14)   VALUE SPACES.
       01  TOTAL-LINE.
           03  FILLER              PIC X(20)   VALUE "DISTRICT TOTAL".
           03  TOT-CHARGE          PIC $$,$$$,$$9.99.

       PROCEDURE DIVISION.
       MAIN-LINE.
           OPEN INPUT READINGS OUTPUT BILLS
           PERFORM GET-READING
           MOVE RDG-DISTRICT TO PRIOR-DISTRICT
           PERFORM UNTIL END-OF-READINGS
               IF RDG-DISTRICT NOT = PRIOR-DISTRICT
                   PERFORM CLOSE-DISTRICT
               END-IF
               PERFORM FIND-CONSUMPTION
               PERFORM PRICE-CONSUMPTION
               PERFORM PRINT-DETAIL
               PERFORM GET-READING
           END-PERFORM
           PERFORM CLOSE-DISTRICT
           CLOSE READINGS BILLS
           GOBACK.

       GET-READING.
           READ READINGS AT END SET END-OF-READINGS TO TRUE END-READ.

      *> A dial that passed its last digit starts again from zero.
       FIND-CONSUMPTION.
           MOVE SPACES TO DTL-NOTE
           COMPUTE USED = RDG-NEW - RDG-OLD
           IF USED < ZERO
               COMPUTE DIAL-RANGE = 10 ** RDG-DIALS
               ADD DIAL-RANGE TO USED
               MOVE "  ROLLED OVER" TO DTL-NOTE
           END-IF.

       PRICE-CONSUMPTION.
           MOVE ZERO TO CHARGE STEP-FLOOR
           MOVE USED TO REMAINING
           PERFORM VARYING BX FROM 1 BY 1
                   UNTIL BX > 3 OR REMAINING = ZERO
               COMPUTE SLICE = FUNCTION MIN
                   (REMAINING, STEP-TOP (BX) - STEP-FLOOR)
               COMPUTE CHARGE ROUNDED =
                   CHARGE + SLICE * STEP-RATE (BX)
               SUBTRACT SLICE FROM REMAINING
               MOVE STEP-TOP (BX) TO STEP-FLOOR
           END-PERFORM
           ADD CHARGE TO DISTRICT-TOTAL.

       PRINT-DETAIL.
           IF LINES-LEFT = ZERO
               ADD 1 TO PAGE-NO
               MOVE PAGE-NO TO HDG-PAGE
               MOVE RDG-DISTRICT TO HDG-DISTRICT
               WRITE BILL-LINE FROM HEADING-LINE
               MOVE 50 TO LINES-LEFT
           END-IF
           MOVE RDG-METER TO DTL-METER
           MOVE USED TO DTL-USED
           MOVE CHARGE TO DTL-CHARGE
           WRITE BILL-LINE FROM DETAIL-LINE
           SUBTRACT 1 FROM LINES-LEFT.

       CLOSE-DISTRICT.
           MOVE DISTRICT-TOTAL TO TOT-CHARGE
           WRITE BILL-LINE FROM TOTAL-LINE
           MOVE ZERO TO DISTRICT-TOTAL LINES-LEFT
           MOVE RDG-DISTRICT TO PRIOR-DISTRICT.
