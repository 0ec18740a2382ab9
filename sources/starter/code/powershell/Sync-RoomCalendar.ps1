#Requires -Version 7.2

<#
.SYNOPSIS
    Brings the door displays of meeting rooms in line with the booking export.

.DESCRIPTION
    Reads the nightly export of the booking system, works out what each display
    should show today, and sends only the differences. Displays that do not answer
    are retried and then reported; they never stop the others.

.PARAMETER ExportPath
    CSV with the columns Room, Start, End, Title, Private.

.PARAMETER MapPath
    JSON object that maps room names to the base address of the display.

.EXAMPLE
    ./Sync-RoomCalendar.ps1 -ExportPath bookings.csv -MapPath displays.json -WhatIf

.EXAMPLE
    ./Sync-RoomCalendar.ps1 -ExportPath bookings.csv -MapPath displays.json -Verbose |
        Where-Object State -eq 'Unreachable' |
        Export-Csv unreachable.csv
#>
[CmdletBinding(SupportsShouldProcess, ConfirmImpact = 'Medium')]
[OutputType([pscustomobject])]
param(
    [Parameter(Mandatory)]
    [ValidateScript({ Test-Path -LiteralPath $_ -PathType Leaf })]
    [string] $ExportPath,

    [Parameter(Mandatory)]
    [ValidateScript({ Test-Path -LiteralPath $_ -PathType Leaf })]
    [string] $MapPath,

    [datetime] $Day = (Get-Date).Date,

    [ValidateRange(1, 32)]
    [int] $ThrottleLimit = 8
)

Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'

function Import-Booking {
    [CmdletBinding()]
    param([string] $Path, [datetime] $Day)

    $culture = [cultureinfo]::InvariantCulture
    $line = 1
    foreach ($row in Import-Csv -LiteralPath $Path) {
        $line++
        $start = [datetime]::MinValue
        $end = [datetime]::MinValue
        $style = [Globalization.DateTimeStyles]::AssumeLocal
        $readable = [datetime]::TryParse($row.Start, $culture, $style, [ref] $start) -and
            [datetime]::TryParse($row.End, $culture, $style, [ref] $end)
        if (-not $readable -or $end -le $start) {
            Write-Warning "${Path}:${line}: skipped, times '$($row.Start)' to '$($row.End)'"
            continue
        }
        if ($end -le $Day -or $start -ge $Day.AddDays(1)) { continue }
        [pscustomobject]@{
            Room  = $row.Room.Trim()
            Start = $start
            End   = $end
            Title = if ($row.Private -in 'yes', 'true', '1') { 'Reserved' } else { $row.Title }
        }
    }
}

function Merge-BackToBack {
    <# A display has five lines. Bookings that touch and share a title become one. #>
    param([Parameter(ValueFromPipeline)] [pscustomobject] $Booking)

    begin { $current = $null }
    process {
        if ($current -and $Booking.Start -le $current.End -and $Booking.Title -eq $current.Title) {
            $current.End = ($Booking.End, $current.End | Measure-Object -Maximum).Maximum
        }
        else {
            if ($current) { $current }
            $current = $Booking.PSObject.Copy()
        }
    }
    end { if ($current) { $current } }
}

$displays = Get-Content -LiteralPath $MapPath -Raw | ConvertFrom-Json -AsHashtable
$byRoom = @(Import-Booking -Path $ExportPath -Day $Day) | Group-Object Room -AsHashTable -AsString
if ($null -eq $byRoom) { $byRoom = @{} }

foreach ($room in $byRoom.Keys.Where({ -not $displays.ContainsKey($_) })) {
    Write-Warning "No display is known for room '$room'."
}

# Every known display gets a schedule, an empty one too: yesterday has to go.
$wanted = foreach ($room in $displays.Keys | Sort-Object) {
    $entries = @($byRoom[$room] | Where-Object { $_ } | Sort-Object Start | Merge-BackToBack)
    $lines = @($entries | Select-Object -First 5 | ForEach-Object {
            '{0:HH:mm}-{1:HH:mm} {2}' -f $_.Start, $_.End, $_.Title
        })
    [pscustomobject]@{ Room = $room; Address = $displays[$room]; Lines = $lines }
}

# ShouldProcess cannot be called in a parallel runspace, so decide here.
$approved = @($wanted | Where-Object { $PSCmdlet.ShouldProcess($_.Room, "show $($_.Lines.Count) bookings") })

$approved | ForEach-Object -ThrottleLimit $ThrottleLimit -Parallel {
    $display = $_
    $uri = "$($display.Address)/screen"
    $request = @{ TimeoutSec = 5; MaximumRetryCount = 2; RetryIntervalSec = 3; ErrorAction = 'Stop' }
    $state = 'Unchanged'
    $detail = $null
    try {
        $shown = @((Invoke-RestMethod -Uri $uri @request).lines)
        if (Compare-Object -ReferenceObject @($shown) -DifferenceObject @($display.Lines) -SyncWindow 0) {
            $body = ConvertTo-Json @{ lines = $display.Lines }
            $null = Invoke-RestMethod -Uri $uri -Method Put -Body $body -ContentType 'application/json' @request
            $state = 'Updated'
        }
    }
    catch {
        $state = 'Unreachable'
        $detail = $_.Exception.Message
    }
    [pscustomobject]@{ Room = $display.Room; State = $state; Detail = $detail }
}
