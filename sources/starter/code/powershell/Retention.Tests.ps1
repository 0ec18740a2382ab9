# Pester 5 tests for the retention policy of build artefacts. The function under
# test is short, so it lives in BeforeAll; the point of the file is the behaviour
# that an earlier version got wrong, written down one case at a time.

BeforeAll {
    function Select-ExpiredArtefact {
        <#
        .SYNOPSIS
            Emits the artefacts that may be deleted.
        .DESCRIPTION
            Per branch, the newest KeepCount builds survive, and so does whatever is
            younger than KeepDays. Releases and pinned builds are never emitted. If
            the free space is below MinFreeGB, KeepDays is halved until the
            selection frees enough or the floor of one day is reached.
        #>
        [CmdletBinding()]
        param(
            [Parameter(Mandatory, ValueFromPipeline)] [pscustomobject] $Artefact,
            [ValidateRange(0, 1000)] [int] $KeepCount = 3,
            [ValidateRange(1, 3650)] [double] $KeepDays = 30,
            [double] $FreeGB = [double]::PositiveInfinity,
            [double] $MinFreeGB = 0,
            [datetime] $Now = [datetime]::UtcNow
        )
        begin { $all = [System.Collections.Generic.List[pscustomobject]]::new() }
        process { $all.Add($Artefact) }
        end {
            $candidates = $all |
                Where-Object { -not $_.Pinned -and $_.Version -notmatch '^\d+\.\d+\.\d+$' } |
                Group-Object Branch |
                ForEach-Object { $_.Group | Sort-Object Built -Descending | Select-Object -Skip $KeepCount }
            do {
                $limit = $Now.AddDays(-$KeepDays)
                $expired = @($candidates | Where-Object Built -lt $limit)
                $freed = ($expired | Measure-Object SizeGB -Sum).Sum
                $enough = $FreeGB + $freed -ge $MinFreeGB
                $atFloor = $KeepDays -le 1
                $KeepDays = [Math]::Max(1, $KeepDays / 2)
            } until ($enough -or $atFloor)
            $expired
        }
    }

    $script:now = [datetime]'2031-03-01T12:00:00Z'

    function New-Build {
        param(
            [string] $Version,
            [double] $AgeDays,
            [string] $Branch = 'main',
            [double] $SizeGB = 1,
            [switch] $Pinned
        )
        [pscustomobject]@{
            Version = $Version
            Branch  = $Branch
            Built   = $now.AddDays(-$AgeDays)
            SizeGB  = $SizeGB
            Pinned  = [bool] $Pinned
        }
    }
}

Describe 'Select-ExpiredArtefact' {

    Context 'age and count' {
        It 'keeps the newest builds of a branch however old they are' {
            $builds = 100, 200, 300, 400 | ForEach-Object { New-Build "1.0.0-dev.$_" $_ }
            $result = @($builds | Select-ExpiredArtefact -KeepCount 3 -Now $now)
            $result.Version | Should -Be '1.0.0-dev.400'
        }

        It 'counts each branch by itself' {
            $builds = @(
                New-Build 'a-1' 90 -Branch feature/a
                New-Build 'b-1' 91 -Branch feature/b
                New-Build 'b-2' 92 -Branch feature/b
            )
            $result = @($builds | Select-ExpiredArtefact -KeepCount 1 -Now $now)
            $result.Version | Should -Be 'b-2'
        }

        It 'treats a build of exactly <Days> days as still young' -ForEach @(
            @{ Days = 1 }
            @{ Days = 30 }
        ) {
            New-Build 'edge-1' $Days |
                Select-ExpiredArtefact -KeepCount 0 -KeepDays $Days -Now $now |
                Should -BeNullOrEmpty
        }

        It 'emits nothing for an empty pipeline' {
            @() | Select-ExpiredArtefact -Now $now | Should -BeNullOrEmpty
        }
    }

    Context 'protected builds' {
        It 'never emits <Version>' -ForEach @(
            @{ Version = '1.0.0' }
            @{ Version = '12.30.4' }
        ) {
            New-Build $Version 3000 |
                Select-ExpiredArtefact -KeepCount 0 -Now $now |
                Should -BeNullOrEmpty
        }

        It 'does not take a prerelease for a release' {
            New-Build '1.0.0-rc.1' 3000 |
                Select-ExpiredArtefact -KeepCount 0 -Now $now |
                Should -HaveCount 1
        }

        It 'does not let pinned builds use up the count' {
            # The bug that deleted last good nightlies: pins filled all three places.
            $builds = @(
                New-Build 'pin-1' 1 -Pinned
                New-Build 'pin-2' 2 -Pinned
                New-Build 'night-1' 60
                New-Build 'night-2' 61
            )
            $result = @($builds | Select-ExpiredArtefact -KeepCount 1 -Now $now)
            $result.Version | Should -Be 'night-2'
        }
    }

    Context 'when the disk is nearly full' {
        BeforeEach {
            $script:builds = 2, 5, 12, 25 | ForEach-Object { New-Build "dev-$_" $_ -SizeGB 10 }
        }

        It 'halves the age until <Need> GB are free' -ForEach @(
            @{ Need = 15; Expected = 'dev-25' }
            @{ Need = 25; Expected = 'dev-12', 'dev-25' }
            @{ Need = 45; Expected = 'dev-2', 'dev-5', 'dev-12', 'dev-25' }
        ) {
            $result = $builds | Select-ExpiredArtefact -KeepCount 0 -FreeGB 5 -MinFreeGB $Need -Now $now
            $result.Version | Sort-Object | Should -Be ($Expected | Sort-Object)
        }

        It 'gives up at one day instead of looping' {
            $result = @($builds | Select-ExpiredArtefact -KeepCount 0 -FreeGB 0 -MinFreeGB 999 -Now $now)
            $result | Should -HaveCount 4
        }
    }
}
