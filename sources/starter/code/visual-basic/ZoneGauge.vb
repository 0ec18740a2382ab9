Imports System.ComponentModel
Imports System.Drawing
Imports System.Drawing.Drawing2D
Imports System.Windows.Forms

''' <summary>
''' A gauge with coloured zones, a trend arrow and a peak marker, for the control
''' room display. It redraws only when the picture would change.
''' </summary>
<DefaultProperty("Value"), DefaultEvent("ZoneChanged")>
Public Class ZoneGauge
    Inherits Control

    Public Class Zone
        Public Property UpTo As Single
        Public Property Colour As Color
    End Class

    Private Const StartAngle As Single = 150.0F
    Private Const SweepAngle As Single = 240.0F

    Private ReadOnly _zones As New List(Of Zone)()
    Private ReadOnly _recent As New Queue(Of Single)()
    Private _maximum As Single = 100.0F
    Private _value As Single
    Private _peak As Single = Single.NegativeInfinity

    ''' <summary>Raised when the value enters another zone, not on every change.</summary>
    Public Event ZoneChanged As EventHandler

    Public Sub New()
        SetStyle(ControlStyles.UserPaint Or ControlStyles.AllPaintingInWmPaint Or
                 ControlStyles.OptimizedDoubleBuffer Or ControlStyles.ResizeRedraw, True)
        Size = New Size(160, 160)
    End Sub

    <Category("Gauge"), DefaultValue(0.0F)>
    Public Property Minimum As Single = 0.0F

    <Category("Gauge"), DefaultValue(100.0F)>
    Public Property Maximum As Single
        Get
            Return _maximum
        End Get
        Set(newMaximum As Single)
            If newMaximum <= Minimum Then Throw New ArgumentOutOfRangeException(NameOf(newMaximum))
            _maximum = newMaximum
            Invalidate()
        End Set
    End Property

    <Category("Gauge")>
    Public Property Value As Single
        Get
            Return _value
        End Get
        Set(newValue As Single)
            Dim before = CurrentZone
            Dim needleBefore = AngleOf(_value)
            _value = newValue
            _peak = Math.Max(_peak, newValue)
            _recent.Enqueue(newValue)
            If _recent.Count > 12 Then _recent.Dequeue()

            ' Half a degree is less than a pixel at any size this is used at.
            If Math.Abs(AngleOf(newValue) - needleBefore) >= 0.5F Then Invalidate()
            If before IsNot CurrentZone Then OnZoneChanged(EventArgs.Empty)
        End Set
    End Property

    <Browsable(False)>
    Public ReadOnly Property CurrentZone As Zone
        Get
            Return _zones.FirstOrDefault(Function(z) _value <= z.UpTo)
        End Get
    End Property

    Public Sub AddZone(upTo As Single, colour As Color)
        _zones.Add(New Zone With {.UpTo = upTo, .Colour = colour})
        _zones.Sort(Function(a, b) a.UpTo.CompareTo(b.UpTo))
        Invalidate()
    End Sub

    Public Sub ResetPeak()
        _peak = _value
        Invalidate()
    End Sub

    Protected Overridable Sub OnZoneChanged(e As EventArgs)
        RaiseEvent ZoneChanged(Me, e)
    End Sub

    Private Function AngleOf(reading As Single) As Single
        Dim share = (reading - Minimum) / (_maximum - Minimum)
        Return StartAngle + SweepAngle * Math.Max(0.0F, Math.Min(1.0F, share))
    End Function

    ' Slope of the least squares line through the recent values, per reading.
    Private Function Trend() As Double
        Dim n = _recent.Count
        If n < 4 Then Return 0
        Dim centre = (n - 1) / 2.0
        Dim numerator = _recent.Select(Function(v, i) (i - centre) * v).Sum()
        Return numerator / (n * (n * n - 1) / 12.0)
    End Function

    Protected Overrides Sub OnPaint(e As PaintEventArgs)
        MyBase.OnPaint(e)
        Dim g = e.Graphics
        g.SmoothingMode = SmoothingMode.AntiAlias
        Dim side = Math.Min(ClientSize.Width, ClientSize.Height) - 12
        If side < 40 Then Return
        Dim box As New RectangleF((ClientSize.Width - side) / 2.0F, (ClientSize.Height - side) / 2.0F, side, side)

        Dim angle = StartAngle
        For Each zone In _zones
            Using pen As New Pen(zone.Colour, side * 0.08F)
                Dim till = AngleOf(zone.UpTo)
                If till > angle Then g.DrawArc(pen, box, angle, till - angle)
                angle = till
            End Using
        Next

        DrawNeedle(g, box, _value, 0.42F, Color.Black, side * 0.025F)
        If _peak > _value Then DrawNeedle(g, box, _peak, 0.5F, Color.Firebrick, 1.5F)

        Dim slope = Trend()
        Dim flat = (_maximum - Minimum) / 500.0
        Dim arrow = If(Math.Abs(slope) < flat, "→", If(slope > 0, "↗", "↘"))
        TextRenderer.DrawText(g, $"{_value:0.0} {arrow}", Font, Rectangle.Round(box), ForeColor,
                              TextFormatFlags.HorizontalCenter Or TextFormatFlags.Bottom)
    End Sub

    Private Sub DrawNeedle(g As Graphics, box As RectangleF, reading As Single,
                           length As Single, colour As Color, width As Single)
        Dim radians = AngleOf(reading) * Math.PI / 180.0
        Dim centre As New PointF(box.X + box.Width / 2, box.Y + box.Height / 2)
        Dim tip As New PointF(centre.X + CSng(box.Width * length * Math.Cos(radians)),
                              centre.Y + CSng(box.Height * length * Math.Sin(radians)))
        Using pen As New Pen(colour, width) With {.EndCap = LineCap.Triangle}
            g.DrawLine(pen, centre, tip)
        End Using
    End Sub
End Class
