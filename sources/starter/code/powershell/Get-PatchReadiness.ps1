<#
.SYNOPSIS
    Judges whether servers can be patched tonight, and writes a one-page report.

.DESCRIPTION
    For each computer the probes below run in a remote session and return a verdict
    of Ready, Warn or Block with a reason. A server is as ready as its worst probe.
    The report is an HTML file; the objects go down the pipeline for scripting.

.NOTES
    Probes are script blocks in a table. They run on the target, so they can use
    only what is there: keep them to built-in cmdlets.
#>
[CmdletBinding(DefaultParameterSetName = 'Names')]
param(
    [Parameter(Mandatory, Position = 0, ParameterSetName = 'Names', ValueFromPipeline)]
    [Alias('CN', 'Server')]
    [string[]] $ComputerName,

    [Parameter(Mandatory, ParameterSetName = 'File')]
    [string] $ListPath,

    [string] $ReportPath = (Join-Path $PWD "patch-readiness-$(Get-Date -Format yyyyMMdd).html"),

    [pscredential] $Credential
)

begin {
    $severity = @{ Ready = 0; Warn = 1; Block = 2 }
    $targets = [System.Collections.Generic.SortedSet[string]]::new([StringComparer]::OrdinalIgnoreCase)

    $probes = [ordered]@{
        'System drive' = {
            $drive = Get-CimInstance Win32_LogicalDisk -Filter "DeviceID='$env:SystemDrive'"
            $free = [math]::Round(($drive.FreeSpace / 1gb), 1)
            switch ($free) {
                { $_ -lt 4 } { 'Block', "$free GB free"; break }
                { $_ -lt 12 } { 'Warn', "$free GB free"; break }
                default { 'Ready', "$free GB free" }
            }
        }
        'Pending restart' = {
            $keys = @(
                'HKLM:\SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing\RebootPending'
                'HKLM:\SOFTWARE\Microsoft\Windows\CurrentVersion\WindowsUpdate\Auto Update\RebootRequired'
            )
            if ($keys | Where-Object { Test-Path $_ }) { 'Warn', 'restart is pending already' }
            else { 'Ready', 'none' }
        }
        'Backup age' = {
            $last = Get-WinEvent -MaxEvents 1 -ErrorAction SilentlyContinue -FilterHashtable @{
                LogName = 'Application'; ProviderName = 'NightlyBackup'; Id = 100
            }
            if (-not $last) { 'Block', 'no successful backup on record' }
            else {
                $hours = [int]((Get-Date) - $last.TimeCreated).TotalHours
                if ($hours -gt 26) { 'Block', "last backup $hours h ago" } else { 'Ready', "$hours h" }
            }
        }
        'Logged-on users' = {
            # quser fails when nobody is there, which for once is good news.
            $lines = @(quser 2>$null | Select-Object -Skip 1)
            $active = @($lines -match '\sActive\s').Count
            if ($active) { 'Warn', "$active active" } else { 'Ready', 'nobody active' }
        }
        'Services' = {
            $stopped = Get-CimInstance Win32_Service -Filter "StartMode='Auto' AND State<>'Running'" |
                Where-Object { -not $_.DelayedAutoStart -and $_.ExitCode -ne 0 }
            if ($stopped) { 'Warn', "failed: $($stopped.Name -join ', ')" } else { 'Ready', 'all running' }
        }
    }
}

process {
    $names = if ($PSCmdlet.ParameterSetName -eq 'File') {
        Get-Content -LiteralPath $ListPath | Where-Object { $_ -and $_ -notmatch '^\s*#' }
    }
    else { $ComputerName }
    foreach ($name in $names) { $null = $targets.Add($name.Trim()) }
}

end {
    $common = @{ ErrorAction = 'Stop' }
    if ($Credential) { $common.Credential = $Credential }

    $results = foreach ($target in $targets) {
        Write-Progress -Activity 'Probing' -Status $target
        $findings = [System.Collections.Generic.List[object]]::new()
        try {
            $session = New-PSSession -ComputerName $target @common
            foreach ($probe in $probes.GetEnumerator()) {
                try {
                    $verdict, $reason = Invoke-Command -Session $session -ScriptBlock $probe.Value -ErrorAction Stop
                }
                catch {
                    # A probe that fails proves nothing; do not let it pass as ready.
                    $verdict, $reason = 'Warn', "probe failed: $($_.Exception.Message)"
                }
                $findings.Add([pscustomobject]@{
                        Probe = $probe.Key; Verdict = $verdict; Reason = $reason
                    })
            }
        }
        catch {
            $findings.Add([pscustomobject]@{
                    Probe = 'Connection'; Verdict = 'Block'; Reason = $_.Exception.Message
                })
        }
        finally {
            if (Test-Path variable:session) { Remove-PSSession $session; Remove-Variable session }
        }
        $worst = $findings.Verdict | Sort-Object { $severity[$_] } -Descending | Select-Object -First 1
        [pscustomobject]@{ Computer = $target; Verdict = $worst; Findings = $findings }
    }

    $rows = foreach ($result in $results | Sort-Object { $severity[$_.Verdict] } -Descending) {
        $reasons = $result.Findings | Where-Object Verdict -ne 'Ready' |
            ForEach-Object { "$($_.Probe): $($_.Reason)" }
        $encoded = $reasons | ForEach-Object { [System.Net.WebUtility]::HtmlEncode($_) }
        "<tr class='$($result.Verdict)'><td>$($result.Computer)</td><td>$($result.Verdict)</td>" +
        "<td>$($encoded -join '<br>')</td></tr>"
    }
    $style = '<style>td{padding:.3em 1em}.Block{background:#f6c7c7}.Warn{background:#f8ebc0}</style>'
    "<html><head>$style</head><body><table>$($rows -join "`n")</table></body></html>" |
        Set-Content -LiteralPath $ReportPath -Encoding utf8
    Write-Verbose "Report written to $ReportPath"
    $results
}
