identification division.
program-id. waitlist.
*> Waiting list for rented garden plots, kept in an indexed file with an
*> alternate key. Commands come from standard input, one per line:
*>   add NAME;PREFERENCE    next PREFERENCE    list    quit

environment division.
input-output section.
file-control.
    select applicants assign to "WAITLIST"
        organization indexed
        access dynamic
        record key app-number
        alternate record key app-wish with duplicates
        file status app-status.

data division.
file section.
fd  applicants.
01  app-record.
    05  app-number          pic 9(5).
    05  app-wish            pic x(8).
    05  app-name            pic x(30).
    05  app-since           pic 9(8).

working-storage section.
01  app-status              pic xx.
    88  file-ok             value "00" "02".
    88  file-missing        value "35".
    88  not-found           value "23".
    88  end-of-file         value "10".
01  highest-number          pic 9(5)  value zero.
01  input-line            pic x(80).
01  verb                    pic x(8).
01  argument                pic x(60).
01  applicant               pic x(30).
01  wish                    pic x(8).
01  scan-at                 pic 9(4)  comp-5.

procedure division.
main section.
    perform open-file
    perform find-highest
    perform forever
        display "> " with no advancing
        move spaces to input-line
        accept input-line
            on exception exit perform
        end-accept
        move 1 to scan-at
        unstring input-line delimited by all space
            into verb with pointer scan-at
        move input-line (scan-at:) to argument
        evaluate function lower-case(verb)
            when "add"   perform add-applicant
            when "next"  perform offer-plot
            when "list"  perform list-all
            when "quit"  exit perform
            when spaces  exit perform
            when other   display "unknown command: " verb
        end-evaluate
    end-perform
    close applicants
    stop run.

open-file section.
    open i-o applicants
    if file-missing
        open output applicants
        close applicants
        open i-o applicants
    end-if
    if not file-ok
        display "cannot open the list, status " app-status upon syserr
        move 8 to return-code
        stop run
    end-if.

find-highest section.
    move 99999 to app-number
    start applicants key not greater than app-number
        invalid key exit section
    end-start
    read applicants previous record
        not at end move app-number to highest-number
    end-read.

add-applicant section.
    move spaces to applicant wish
    unstring argument delimited by ";" into applicant wish
    if applicant = spaces or wish = spaces
        display "usage: add NAME;PREFERENCE"
        exit section
    end-if
    add 1 to highest-number
        on size error display "the list is full" exit section
    end-add
    move highest-number to app-number
    move function upper-case(wish) to app-wish
    move applicant to app-name
    move function current-date(1:8) to app-since
    write app-record
        invalid key display "cannot write, status " app-status
        not invalid key display "number " app-number
    end-write.

*> Duplicates of an alternate key come back in order of insertion, and so
*> the first record found has waited longest.
offer-plot section.
    move function upper-case(argument) to app-wish
    read applicants key is app-wish
        invalid key
            display "nobody waits for " app-wish
            exit section
    end-read
    display "offer to " function trim(app-name) ", waiting since " app-since
    delete applicants record
        invalid key display "cannot delete, status " app-status
    end-delete.

list-all section.
    move low-values to app-wish
    start applicants key >= app-wish
        invalid key
            display "the list is empty"
            exit section
    end-start
    perform until exit
        read applicants next record
            at end exit perform
        end-read
        display app-wish " " app-number " " app-name
    end-perform.
