      *> Sequential master-file update: the classic balanced-line match.
      *>
      *> The stock master and the day's transactions are both sorted by
      *> part number. One pass writes the new master; transactions that
      *> do not fit go to the error report.
       IDENTIFICATION DIVISION.
       PROGRAM-ID. MASTUPD.

       ENVIRONMENT DIVISION.
       INPUT-OUTPUT SECTION.
       FILE-CONTROL.
           SELECT OLD-MASTER  ASSIGN TO "OLDMAST"
               ORGANIZATION IS LINE SEQUENTIAL
               FILE STATUS IS WS-OLD-STATUS.
           SELECT TRANSACTIONS ASSIGN TO "TRANS"
               ORGANIZATION IS LINE SEQUENTIAL
               FILE STATUS IS WS-TRN-STATUS.
           SELECT NEW-MASTER  ASSIGN TO "NEWMAST"
               ORGANIZATION IS LINE SEQUENTIAL.

       DATA DIVISION.
       FILE SECTION.
       FD  OLD-MASTER.
       01  OLD-REC.
           05  OLD-PART            PIC X(8).
           05  OLD-DESC            PIC X(24).
           05  OLD-QTY             PIC 9(7).
           05  OLD-COST            PIC 9(5)V99.

       FD  TRANSACTIONS.
       01  TRN-REC.
           05  TRN-PART            PIC X(8).
           05  TRN-CODE            PIC X.
               88  TRN-ADD         VALUE "A".
               88  TRN-RECEIPT     VALUE "R".
               88  TRN-ISSUE       VALUE "I".
               88  TRN-DELETE      VALUE "D".
           05  TRN-QTY             PIC 9(7).
           05  TRN-COST            PIC 9(5)V99.
           05  TRN-DESC            PIC X(24).

       FD  NEW-MASTER.
       01  NEW-REC                 PIC X(46).

       WORKING-STORAGE SECTION.
       01  WS-OLD-STATUS           PIC XX.
       01  WS-TRN-STATUS           PIC XX.

       01  WS-HOLD.
           05  HLD-PART            PIC X(8).
           05  HLD-DESC            PIC X(24).
           05  HLD-QTY             PIC 9(7).
           05  HLD-COST            PIC 9(5)V99.
       01  WS-HOLD-SWITCH          PIC X       VALUE "N".
           88  HOLD-IS-LIVE                    VALUE "Y"
                                   FALSE "N".

       01  WS-ACTIVE-KEY           PIC X(8).

       01  WS-COUNTS.
           05  CNT-APPLIED         PIC 9(6)    COMP VALUE ZERO.
           05  CNT-REJECTED        PIC 9(6)    COMP VALUE ZERO.
           05  CNT-WRITTEN         PIC 9(6)    COMP VALUE ZERO.
       01  WS-REASON               PIC X(30).
       01  WS-SHOWN                PIC ZZZ,ZZ9.

       PROCEDURE DIVISION.
       0000-MAIN.
           OPEN INPUT OLD-MASTER TRANSACTIONS
           IF WS-OLD-STATUS NOT = "00" OR WS-TRN-STATUS NOT = "00"
               DISPLAY "MASTUPD: CANNOT OPEN INPUT" UPON SYSERR
               MOVE 16 TO RETURN-CODE
               STOP RUN
           END-IF
           OPEN OUTPUT NEW-MASTER
           PERFORM 8100-READ-MASTER
           PERFORM 8200-READ-TRANSACTION
           PERFORM 1000-PROCESS-KEY
               UNTIL OLD-PART = HIGH-VALUES AND TRN-PART = HIGH-VALUES
           CLOSE OLD-MASTER TRANSACTIONS NEW-MASTER
           MOVE CNT-APPLIED  TO WS-SHOWN
           DISPLAY "APPLIED  " WS-SHOWN
           MOVE CNT-REJECTED TO WS-SHOWN
           DISPLAY "REJECTED " WS-SHOWN
           MOVE CNT-WRITTEN  TO WS-SHOWN
           DISPLAY "WRITTEN  " WS-SHOWN
           STOP RUN.

       1000-PROCESS-KEY.
           IF OLD-PART < TRN-PART
               MOVE OLD-PART TO WS-ACTIVE-KEY
           ELSE
               MOVE TRN-PART TO WS-ACTIVE-KEY
           END-IF
           SET HOLD-IS-LIVE TO FALSE
           IF OLD-PART = WS-ACTIVE-KEY
               MOVE OLD-REC TO WS-HOLD
               SET HOLD-IS-LIVE TO TRUE
               PERFORM 8100-READ-MASTER
           END-IF
           PERFORM 2000-APPLY UNTIL TRN-PART NOT = WS-ACTIVE-KEY
           IF HOLD-IS-LIVE
               WRITE NEW-REC FROM WS-HOLD
               ADD 1 TO CNT-WRITTEN
           END-IF.

       2000-APPLY.
           MOVE SPACES TO WS-REASON
           EVALUATE TRUE ALSO HOLD-IS-LIVE
               WHEN TRN-ADD     ALSO TRUE
                   MOVE "PART EXISTS ALREADY" TO WS-REASON
               WHEN TRN-ADD     ALSO FALSE
                   MOVE TRN-PART TO HLD-PART
                   MOVE TRN-DESC TO HLD-DESC
                   MOVE TRN-QTY  TO HLD-QTY
                   MOVE TRN-COST TO HLD-COST
                   SET HOLD-IS-LIVE TO TRUE
               WHEN ANY         ALSO FALSE
                   MOVE "NO SUCH PART" TO WS-REASON
               WHEN TRN-RECEIPT ALSO TRUE
                   ADD TRN-QTY TO HLD-QTY
                       ON SIZE ERROR MOVE "OVERFLOW" TO WS-REASON
                   END-ADD
               WHEN TRN-ISSUE   ALSO TRUE
                   IF TRN-QTY > HLD-QTY
                       MOVE "NOT ENOUGH STOCK" TO WS-REASON
                   ELSE
                       SUBTRACT TRN-QTY FROM HLD-QTY
                   END-IF
               WHEN TRN-DELETE  ALSO TRUE
                   SET HOLD-IS-LIVE TO FALSE
               WHEN OTHER
                   MOVE "UNKNOWN CODE" TO WS-REASON
           END-EVALUATE
           IF WS-REASON = SPACES
               ADD 1 TO CNT-APPLIED
           ELSE
               ADD 1 TO CNT-REJECTED
               DISPLAY TRN-PART " " TRN-CODE " " WS-REASON
           END-IF
           PERFORM 8200-READ-TRANSACTION.

       8100-READ-MASTER.
           READ OLD-MASTER AT END MOVE HIGH-VALUES TO OLD-PART END-READ.

       8200-READ-TRANSACTION.
           READ TRANSACTIONS
               AT END MOVE HIGH-VALUES TO TRN-PART
           END-READ.
