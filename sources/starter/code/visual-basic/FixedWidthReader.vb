Option Strict On

Imports System.Collections.Generic
Imports System.Globalization
Imports System.IO
Imports System.Linq
Imports System.Reflection

''' <summary>Where a property sits in a fixed-width record. Columns count from 1.</summary>
<AttributeUsage(AttributeTargets.Property)>
Public NotInheritable Class ColumnsAttribute
    Inherits Attribute

    Public ReadOnly Property First As Integer
    Public ReadOnly Property Last As Integer
    ''' <summary>Digits after an implied decimal point, as in 0001250 for 12.50.</summary>
    Public Property ImpliedDecimals As Integer
    Public Property Format As String = "yyyyMMdd"

    Public Sub New(first As Integer, last As Integer)
        Me.First = first
        Me.Last = last
    End Sub
End Class

''' <summary>The characters in column 1 that mark records of a class.</summary>
<AttributeUsage(AttributeTargets.Class)>
Public NotInheritable Class RecordTypeAttribute
    Inherits Attribute
    Public ReadOnly Property Code As String
    Public Sub New(code As String)
        Me.Code = code
    End Sub
End Class

Public Class RecordFormatException
    Inherits Exception
    Public Sub New(lineNumber As Integer, column As Integer, message As String, Optional inner As Exception = Nothing)
        MyBase.New($"Line {lineNumber}, column {column}: {message}", inner)
    End Sub
End Class

<RecordType("H")>
Public Class BatchHeader
    <Columns(2, 9)> Public Property CreatedOn As Date
    <Columns(10, 29)> Public Property Sender As String
End Class

<RecordType("M")>
Public Class MeterReading
    <Columns(2, 11)> Public Property MeterNumber As String
    <Columns(12, 19)> Public Property ReadOn As Date
    <Columns(20, 28, ImpliedDecimals:=3)> Public Property CubicMetres As Decimal
    <Columns(29, 29)> Public Property Estimated As Boolean
End Class

<RecordType("T")>
Public Class BatchTrailer
    <Columns(2, 8)> Public Property RecordCount As Integer
    <Columns(9, 22, ImpliedDecimals:=3)> Public Property ControlTotal As Decimal
End Class

''' <summary>
''' Reads files of fixed-width records into objects, driven by attributes. The layout
''' of each class is worked out once and checked for overlapping columns.
''' </summary>
Public Class FixedWidthReader
    Private NotInheritable Class Layout
        Public Property Type As Type
        Public Property Fields As List(Of Field)
    End Class

    Private NotInheritable Class Field
        Public Property Target As PropertyInfo
        Public Property Columns As ColumnsAttribute
    End Class

    Private ReadOnly _layouts As New Dictionary(Of String, Layout)(StringComparer.Ordinal)

    Public Sub New(ParamArray recordTypes As Type())
        For Each type In recordTypes
            Dim marker = type.GetCustomAttribute(Of RecordTypeAttribute)()
            If marker Is Nothing Then Throw New ArgumentException($"{type.Name} has no record type code.")
            Dim fields = type.GetProperties().
                Select(Function(p) New Field With {.Target = p, .Columns = p.GetCustomAttribute(Of ColumnsAttribute)()}).
                Where(Function(f) f.Columns IsNot Nothing).
                OrderBy(Function(f) f.Columns.First).
                ToList()
            For i = 1 To fields.Count - 1
                If fields(i).Columns.First <= fields(i - 1).Columns.Last Then
                    Throw New ArgumentException($"{type.Name}: {fields(i).Target.Name} overlaps the field before it.")
                End If
            Next
            _layouts.Add(marker.Code, New Layout With {.Type = type, .Fields = fields})
        Next
    End Sub

    Public Iterator Function Read(source As TextReader) As IEnumerable(Of Object)
        Dim number = 0
        Dim line = source.ReadLine()
        While line IsNot Nothing
            number += 1
            If line.Length > 0 AndAlso line(0) <> ChrW(&H1A) Then Yield ParseLine(line, number)
            line = source.ReadLine()
        End While
    End Function

    Private Function ParseLine(line As String, number As Integer) As Object
        Dim layout As Layout = Nothing
        If Not _layouts.TryGetValue(line.Substring(0, 1), layout) Then
            Throw New RecordFormatException(number, 1, $"unknown record type '{line(0)}'")
        End If
        Dim record = Activator.CreateInstance(layout.Type)
        For Each field In layout.Fields
            Dim c = field.Columns
            ' Trailing blanks are often cut off on the way, so a short line is fine.
            Dim raw = If(line.Length < c.First, "", line.Substring(c.First - 1, Math.Min(line.Length, c.Last) - c.First + 1))
            Try
                field.Target.SetValue(record, Convert(raw.Trim(), field.Target.PropertyType, c))
            Catch ex As Exception When TypeOf ex Is FormatException OrElse TypeOf ex Is OverflowException
                Throw New RecordFormatException(number, c.First, $"'{raw}' is no {field.Target.Name}", ex)
            End Try
        Next
        Return record
    End Function

    Private Shared Function Convert(raw As String, target As Type, c As ColumnsAttribute) As Object
        Dim culture = CultureInfo.InvariantCulture
        Select Case target
            Case GetType(String)
                Return raw
            Case GetType(Boolean)
                If raw = "Y" OrElse raw = "1" Then Return True
                If raw = "N" OrElse raw = "0" OrElse raw = "" Then Return False
                Throw New FormatException()
            Case GetType(Date)
                Return Date.ParseExact(raw, c.Format, culture)
            Case GetType(Integer)
                Return Integer.Parse(raw, NumberStyles.AllowLeadingSign, culture)
            Case GetType(Decimal)
                ' The sign may trail, as mainframes write it: 0001250-
                Dim negative = raw.EndsWith("-"c)
                Dim digits = Decimal.Parse(raw.TrimEnd("-"c), NumberStyles.None, culture)
                Dim scaled = digits / CDec(Math.Pow(10, c.ImpliedDecimals))
                Return If(negative, -scaled, scaled)
            Case Else
                Throw New NotSupportedException($"No conversion to {target.Name}.")
        End Select
    End Function
End Class
