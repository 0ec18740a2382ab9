Option Strict On
Option Explicit On
Option Infer On

Imports System.Collections.Generic
Imports System.Linq

Namespace Parking

    ''' <summary>
    ''' A band of the day with a price for each started unit of time.
    ''' </summary>
    Public Structure Band
        Public ReadOnly Property StartsAt As TimeSpan
        Public ReadOnly Property EndsAt As TimeSpan
        Public ReadOnly Property UnitMinutes As Integer
        Public ReadOnly Property PricePerUnit As Decimal

        Public Sub New(startsAt As TimeSpan, endsAt As TimeSpan, unitMinutes As Integer, pricePerUnit As Decimal)
            If endsAt <= startsAt OrElse endsAt > TimeSpan.FromHours(24) Then
                Throw New ArgumentException("A band lies within one day and has a positive length.")
            End If
            If unitMinutes <= 0 Then Throw New ArgumentOutOfRangeException(NameOf(unitMinutes))
            Me.StartsAt = startsAt
            Me.EndsAt = endsAt
            Me.UnitMinutes = unitMinutes
            Me.PricePerUnit = pricePerUnit
        End Sub
    End Structure

    ''' <summary>One line on the receipt.</summary>
    Public NotInheritable Class Charge
        Public Property Begins As Date
        Public Property Ends As Date
        Public Property Units As Integer
        Public Property Amount As Decimal
    End Class

    ''' <summary>
    ''' Prices a stay against a weekly tariff with a cap for each calendar day.
    ''' </summary>
    ''' <remarks>
    ''' A unit that has been started is paid for in full, also when it runs into the
    ''' next band: the next band then begins only where that unit ends. Charging both
    ''' bands for the same minutes was the complaint that led to this class.
    ''' </remarks>
    Public Class Tariff
        Private ReadOnly _bands As New Dictionary(Of DayOfWeek, List(Of Band))()
        Private ReadOnly _holidays As New HashSet(Of Date)()

        Public Property GraceMinutes As Integer = 10
        Public Property DailyCap As Decimal = Decimal.MaxValue

        Public Function OnDays(days As IEnumerable(Of DayOfWeek), ParamArray bands As Band()) As Tariff
            For Each day In days
                Dim sorted = bands.OrderBy(Function(b) b.StartsAt).ToList()
                For i = 1 To sorted.Count - 1
                    If sorted(i).StartsAt < sorted(i - 1).EndsAt Then
                        Throw New ArgumentException($"Bands overlap on {day}.")
                    End If
                Next
                _bands(day) = sorted
            Next
            Return Me
        End Function

        Public Function WithHolidays(ParamArray days As Date()) As Tariff
            _holidays.UnionWith(days.Select(Function(d) d.Date))
            Return Me
        End Function

        ''' <summary>The receipt for a stay; empty if it was within the grace time.</summary>
        Public Function Price(arrival As Date, departure As Date) As IReadOnlyList(Of Charge)
            If departure < arrival Then
                Throw New ArgumentException("Departure is before arrival.", NameOf(departure))
            End If
            Dim receipt As New List(Of Charge)()
            If (departure - arrival).TotalMinutes <= GraceMinutes Then Return receipt

            Dim cursor = arrival
            While cursor < departure
                Dim charge = NextCharge(cursor, departure)
                If charge Is Nothing Then Exit While
                receipt.Add(charge)
                cursor = charge.Ends
            End While
            ApplyDailyCap(receipt)
            Return receipt
        End Function

        Private Function NextCharge(cursor As Date, departure As Date) As Charge
            ' Looks for the first band that is still open at or after the cursor.
            Dim day = cursor.Date
            While day <= departure.Date
                For Each band In BandsOf(day)
                    Dim opens = day + band.StartsAt
                    Dim closes = day + band.EndsAt
                    If closes <= cursor Then Continue For
                    Dim begins = If(opens > cursor, opens, cursor)
                    If begins >= departure Then Return Nothing

                    Dim ends = If(closes < departure, closes, departure)
                    Dim units = CInt(Math.Ceiling((ends - begins).TotalMinutes / band.UnitMinutes))
                    Return New Charge With {
                        .Begins = begins,
                        .Ends = begins.AddMinutes(units * band.UnitMinutes),
                        .Units = units,
                        .Amount = units * band.PricePerUnit
                    }
                Next
                day = day.AddDays(1)
            End While
            Return Nothing
        End Function

        Private Function BandsOf(day As Date) As IEnumerable(Of Band)
            Dim key = If(_holidays.Contains(day), DayOfWeek.Sunday, day.DayOfWeek)
            Dim found As List(Of Band) = Nothing
            Return If(_bands.TryGetValue(key, found), found, Enumerable.Empty(Of Band)())
        End Function

        ' The last charge of a day absorbs the reduction, so earlier lines stay as they
        ' were displayed while the car was still parked.
        Private Sub ApplyDailyCap(receipt As List(Of Charge))
            For Each day In receipt.GroupBy(Function(c) c.Begins.Date)
                Dim excess = Math.Max(0D, day.Sum(Function(c) c.Amount) - DailyCap)
                For Each line In day.Reverse()
                    Dim cut = Math.Min(excess, line.Amount)
                    line.Amount -= cut
                    excess -= cut
                Next
            Next
        End Sub
    End Class
End Namespace
