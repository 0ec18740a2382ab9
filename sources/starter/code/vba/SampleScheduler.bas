Attribute VB_Name = "SampleScheduler"
Option Explicit

' Spreads the samples of the day over the instruments of the laboratory.
'
' Sheet "Samples":     A id, B method, C minutes, D due (time), E priority 1-3
' Sheet "Instruments": A name, B methods separated by commas, C free from (time)
'
' Urgent samples come first, then the earliest due time, and each goes to the
' instrument that can start it first. A change of method costs a rinse.

Private Const RINSE_MINUTES As Double = 12
Private Const FIRST_ROW As Long = 2

Private Type Sample
    Id As String
    Method As String
    Minutes As Double
    Due As Date
    Priority As Long
    Instrument As String
    Starts As Date
    Ends As Date
End Type

Private Type Instrument
    Name As String
    Methods As String       ' ",GC,HPLC," so that InStr finds whole words
    FreeFrom As Date
    LastMethod As String
End Type

Public Sub BuildPlan()
    Dim samples() As Sample, instruments() As Instrument, order() As Long
    Dim calculation As XlCalculation, i As Long

    calculation = Application.Calculation
    On Error GoTo CleanUp
    Application.ScreenUpdating = False
    Application.Calculation = xlCalculationManual

    samples = ReadSamples(ThisWorkbook.Worksheets("Samples"))
    instruments = ReadInstruments(ThisWorkbook.Worksheets("Instruments"))
    order = SortedOrder(samples)

    For i = LBound(order) To UBound(order)
        Place samples(order(i)), instruments
    Next i

    WritePlan samples, order

CleanUp:
    Application.Calculation = calculation
    Application.ScreenUpdating = True
    If Err.Number <> 0 Then MsgBox "The plan was not built: " & Err.Description, vbCritical
End Sub

Private Function ReadSamples(ByVal ws As Worksheet) As Sample()
    Dim data As Variant, result() As Sample, i As Long

    data = ws.Range("A" & FIRST_ROW, ws.Cells(ws.Rows.Count, "A").End(xlUp)).Resize(, 5).Value
    ReDim result(1 To UBound(data, 1))
    For i = 1 To UBound(data, 1)
        With result(i)
            .Id = CStr(data(i, 1)): .Method = UCase$(Trim$(data(i, 2)))
            .Minutes = CDbl(data(i, 3))
            .Due = CDate(data(i, 4))
            .Priority = CLng(data(i, 5))
        End With
    Next i
    ReadSamples = result
End Function

Private Function ReadInstruments(ByVal ws As Worksheet) As Instrument()
    Dim result() As Instrument, i As Long

    ReDim result(FIRST_ROW To ws.Cells(ws.Rows.Count, "A").End(xlUp).Row)
    For i = FIRST_ROW To UBound(result)
        result(i).Name = ws.Cells(i, "A").Value
        result(i).Methods = "," & UCase$(Replace(ws.Cells(i, "B").Value, " ", "")) & ","
        result(i).FreeFrom = ws.Cells(i, "C").Value
    Next i
    ReadInstruments = result
End Function

' Insertion sort of indices: stable, and a day has few samples.
Private Function SortedOrder(ByRef samples() As Sample) As Long()
    Dim order() As Long, i As Long, j As Long, current As Long

    ReDim order(1 To UBound(samples))
    For i = 1 To UBound(samples)
        current = i
        j = i - 1
        Do While j >= 1
            If Not Precedes(samples(current), samples(order(j))) Then Exit Do
            order(j + 1) = order(j)
            j = j - 1
        Loop
        order(j + 1) = current
    Next i
    SortedOrder = order
End Function

Private Function Precedes(ByRef a As Sample, ByRef b As Sample) As Boolean
    Precedes = a.Priority < b.Priority Or (a.Priority = b.Priority And a.Due < b.Due)
End Function

' A sample whose method nobody offers keeps an empty instrument.
Private Sub Place(ByRef s As Sample, ByRef instruments() As Instrument)
    Dim i As Long, best As Long, start As Date, bestStart As Date

    best = -1
    For i = LBound(instruments) To UBound(instruments)
        If InStr(instruments(i).Methods, "," & s.Method & ",") > 0 Then
            start = instruments(i).FreeFrom
            If Len(instruments(i).LastMethod) > 0 And instruments(i).LastMethod <> s.Method Then
                start = DateAdd("n", RINSE_MINUTES, start)
            End If
            If best = -1 Or start < bestStart Then best = i: bestStart = start
        End If
    Next i
    If best = -1 Then Exit Sub

    s.Instrument = instruments(best).Name
    s.Starts = bestStart
    s.Ends = DateAdd("n", s.Minutes, bestStart)
    instruments(best).FreeFrom = s.Ends
    instruments(best).LastMethod = s.Method
End Sub

Private Sub WritePlan(ByRef samples() As Sample, ByRef order() As Long)
    Dim grid() As Variant, i As Long

    ReDim grid(0 To UBound(order), 1 To 5)
    For i = 1 To 5: grid(0, i) = Split(" Sample Instrument Start End Late")(i): Next i
    For i = 1 To UBound(order)
        With samples(order(i))
            grid(i, 1) = .Id
            grid(i, 2) = IIf(Len(.Instrument) = 0, "none", .Instrument)
            grid(i, 3) = .Starts
            grid(i, 4) = .Ends
            If .Ends > .Due Then grid(i, 5) = DateDiff("n", .Due, .Ends)
        End With
    Next i
    With ThisWorkbook.Worksheets("Plan")
        .Cells.ClearContents
        .Range("A1").Resize(UBound(order) + 1, 5).Value = grid
        .Range("C:D").NumberFormat = "hh:mm"
    End With
End Sub
