Attribute VB_Name = "MinutesFromAgenda"
Option Explicit

' Word: turns the agenda in the active document into a skeleton for the minutes,
' and collects the tasks of finished minutes in a table at the end.
'
' An agenda item is a paragraph in the style "Heading 2" that may end in the time
' planned for it, such as "Roof repair (15 min)". A task is any paragraph that
' begins with "TASK", an owner and a date:
'
'   TASK Ines 14.3. get a second offer for the gutters

Private Const STYLE_ITEM As String = "Heading 2"
Private Const STYLE_PROMPT As String = "Minutes Prompt"
Private Const TASK_BOOKMARK As String = "TaskTable"

Public Sub InsertPrompts()
    Dim doc As Document
    Dim i As Long
    Dim item As Paragraph
    Dim minutes As Long
    Dim total As Long
    Dim undo As UndoRecord

    Set doc = ActiveDocument
    EnsureStyle doc

    ' One entry in the undo list for the whole macro.
    Set undo = Application.UndoRecord
    undo.StartCustomRecord "Insert prompts for minutes"
    On Error GoTo Done

    ' From the end, because inserting shifts everything that follows.
    For i = doc.Paragraphs.Count To 1 Step -1
        Set item = doc.Paragraphs(i)
        If item.Style = STYLE_ITEM Then
            minutes = PlannedMinutes(item.Range.Text)
            total = total + minutes
            If Not HasPrompt(item) Then AddPrompt item, minutes
        End If
    Next i
    Application.StatusBar = "Planned in all: " & total & " minutes"

Done:
    undo.EndCustomRecord
    If Err.Number <> 0 Then MsgBox Err.Description, vbExclamation, "Minutes"
End Sub

Private Function PlannedMinutes(ByVal text As String) As Long
    Dim opened As Long
    Dim inside As String

    opened = InStrRev(text, "(")
    If opened = 0 Then Exit Function
    inside = Mid$(text, opened + 1)
    If InStr(1, inside, "min", vbTextCompare) > 0 Then PlannedMinutes = Val(inside)
End Function

Private Function HasPrompt(ByVal item As Paragraph) As Boolean
    Dim following As Paragraph
    Set following = item.Next
    If following Is Nothing Then Exit Function
    HasPrompt = (following.Style = STYLE_PROMPT)
End Function

Private Sub AddPrompt(ByVal item As Paragraph, ByVal minutes As Long)
    Dim target As Range

    item.Range.InsertParagraphAfter
    Set target = item.Next.Range
    target.Style = STYLE_PROMPT
    target.InsertBefore "Discussed:" & vbVerticalTab & "Decided:" & vbVerticalTab & "For / against / abstained:"
    If minutes > 20 Then target.InsertBefore "Chair: call for a vote after " & minutes & " minutes." & vbVerticalTab
End Sub

Private Sub EnsureStyle(ByVal doc As Document)
    Dim style As Style

    On Error Resume Next
    Set style = doc.Styles(STYLE_PROMPT)
    On Error GoTo 0
    If Not style Is Nothing Then Exit Sub

    Set style = doc.Styles.Add(STYLE_PROMPT, wdStyleTypeParagraph)
    With style
        .BaseStyle = doc.Styles(wdStyleNormal)
        .Font.Italic = True
        .ParagraphFormat.LeftIndent = CentimetersToPoints(1)
        .ParagraphFormat.SpaceAfter = 12
        .NextParagraphStyle = doc.Styles(wdStyleNormal)
    End With
End Sub

Public Sub CollectTasks()
    Dim doc As Document
    Dim para As Paragraph
    Dim tasks As New Collection
    Dim words() As String

    Set doc = ActiveDocument
    For Each para In doc.Paragraphs
        words = Split(Replace(para.Range.Text, vbCr, ""), " ", 4)
        If UBound(words) = 3 Then
            ' Binary comparison: "Tasks of the caretaker" is not a task.
            If words(0) = "TASK" And Not para.Range.Information(wdWithInTable) Then tasks.Add words
        End If
    Next para

    If tasks.Count = 0 Then
        MsgBox "There are no lines that begin with TASK.", vbInformation, "Minutes"
        Exit Sub
    End If
    FillTable TaskTable(doc, tasks.Count + 1), tasks
End Sub

' Running the macro again replaces the table instead of adding a second one.
Private Function TaskTable(ByVal doc As Document, ByVal rowCount As Long) As Table
    Dim place As Range

    If doc.Bookmarks.Exists(TASK_BOOKMARK) Then
        Set place = doc.Bookmarks(TASK_BOOKMARK).Range
        If place.Tables.Count > 0 Then place.Tables(1).Delete
    Else
        doc.Content.InsertParagraphAfter
        Set place = doc.Paragraphs.Last.Range
    End If
    Set TaskTable = doc.Tables.Add(place, rowCount, 3)
    doc.Bookmarks.Add TASK_BOOKMARK, TaskTable.Range
End Function

Private Sub FillTable(ByVal grid As Table, ByVal tasks As Collection)
    Dim row As Long, column As Long
    Dim titles As Variant

    titles = Array("Who", "By", "What")
    For column = 1 To 3
        grid.Cell(1, column).Range.Text = titles(column - 1)
        For row = 1 To tasks.Count
            grid.Cell(row + 1, column).Range.Text = tasks(row)(column)
        Next row
    Next column
    grid.Rows(1).HeadingFormat = True
    grid.Rows(1).Range.Font.Bold = True
    grid.Borders.Enable = True
    grid.Sort ExcludeHeader:=True, FieldNumber:="Column 1"
End Sub
