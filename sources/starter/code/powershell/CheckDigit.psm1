# CheckDigit: validate and complete the identifiers that a warehouse meets.
# Every scheme is a small class with the same two methods. Cmdlets look schemes up
# by name, so a new one is added by deriving a class and listing it once.

using namespace System.Collections.Generic
using namespace System.Management.Automation

class CheckScheme {
    [string] $Name
    [int] $PayloadLength
    [regex] $Alphabet = '^[0-9]+$'

    # Returns the check characters for a payload without them.
    [string] Compute([string] $payload) {
        throw [System.NotImplementedException]::new($this.Name)
    }

    [string] Normalise([string] $text) { return ($text -replace '[\s.-]', '').ToUpperInvariant() }

    [int] CheckLength() { return 1 }

    [bool] Test([string] $text) {
        $clean = $this.Normalise($text)
        if ($clean.Length -ne $this.PayloadLength + $this.CheckLength()) { return $false }
        $payload = $clean.Substring(0, $this.PayloadLength)
        if ($payload -notmatch $this.Alphabet) { return $false }
        return $this.Compute($payload) -ceq $clean.Substring($this.PayloadLength)
    }
}

# Weights 3 and 1 alternate, counted from the right end of the payload.
class Gs1Scheme : CheckScheme {
    Gs1Scheme([string] $name, [int] $payloadLength) {
        $this.Name = $name
        $this.PayloadLength = $payloadLength
    }

    [string] Compute([string] $payload) {
        $sum = 0
        for ($i = 0; $i -lt $payload.Length; $i++) {
            $digit = [int]::Parse($payload[$payload.Length - 1 - $i])
            $sum += $digit * (3, 1)[$i % 2]
        }
        return [string]((10 - $sum % 10) % 10)
    }
}

# Freight containers: letters have values that skip the multiples of eleven, and
# position weights are powers of two.
class ContainerScheme : CheckScheme {
    hidden static [Dictionary[char, int]] $Values

    static ContainerScheme() {
        $map = [Dictionary[char, int]]::new()
        foreach ($d in 0..9) { $map["$d"[0]] = $d }
        $value = 10
        foreach ($letter in [char[]]'ABCDEFGHIJKLMNOPQRSTUVWXYZ') {
            if ($value % 11 -eq 0) { $value++ }
            $map[$letter] = $value++
        }
        [ContainerScheme]::Values = $map
    }

    ContainerScheme() {
        $this.Name = 'Container'
        $this.PayloadLength = 10
        $this.Alphabet = '^[A-Z]{3}[UJZ][0-9]{6}$'
    }

    [string] Compute([string] $payload) {
        $sum = 0
        for ($i = 0; $i -lt $payload.Length; $i++) {
            $sum += [ContainerScheme]::Values[$payload[$i]] -shl $i
        }
        return [string]($sum % 11 % 10)
    }
}

# Two check digits, modulo 97, with letters spelled out as 10 to 35.
class Mod97Scheme : CheckScheme {
    Mod97Scheme([string] $name, [int] $payloadLength) {
        $this.Name = $name
        $this.PayloadLength = $payloadLength
        $this.Alphabet = '^[0-9A-Z]+$'
    }

    [int] CheckLength() { return 2 }

    [string] Compute([string] $payload) {
        $remainder = 0
        foreach ($c in [char[]]($payload + '00')) {
            $remainder = if ([char]::IsDigit($c)) { ($remainder * 10 + [int]::Parse($c)) % 97 }
            else { ($remainder * 100 + ([int]$c - [int][char]'A' + 10)) % 97 }
        }
        return '{0:00}' -f (98 - $remainder)
    }
}

$script:Schemes = [ordered]@{}
foreach ($scheme in @(
        [Gs1Scheme]::new('Gtin13', 12)
        [Gs1Scheme]::new('Sscc', 17)
        [ContainerScheme]::new()
        [Mod97Scheme]::new('LotNumber', 18)
    )) {
    $script:Schemes[$scheme.Name] = $scheme
}

function Test-CheckDigit {
    <#
    .SYNOPSIS
        Tells for each identifier whether its check digit is right.
    .EXAMPLE
        Get-Content scans.txt | Test-CheckDigit -Scheme Sscc | Where-Object -Not Valid
    #>
    [CmdletBinding()]
    param(
        [Parameter(Mandatory, ValueFromPipeline)] [AllowEmptyString()] [string] $Identifier,
        [Parameter(Mandatory)] [ValidateSet('Gtin13', 'Sscc', 'Container', 'LotNumber')] [string] $Scheme
    )
    process {
        [pscustomobject]@{
            Identifier = $Identifier
            Scheme     = $Scheme
            Valid      = $script:Schemes[$Scheme].Test($Identifier)
        }
    }
}

function Add-CheckDigit {
    [CmdletBinding()] [OutputType([string])]
    param(
        [Parameter(Mandatory, ValueFromPipeline)] [string] $Payload,
        [Parameter(Mandatory)] [ValidateSet('Gtin13', 'Sscc', 'Container', 'LotNumber')] [string] $Scheme
    )
    process {
        $implementation = $script:Schemes[$Scheme]
        $clean = $implementation.Normalise($Payload)
        if ($clean.Length -ne $implementation.PayloadLength -or $clean -notmatch $implementation.Alphabet) {
            $PSCmdlet.WriteError([ErrorRecord]::new(
                    [System.FormatException]::new("'$Payload' is no $Scheme payload"),
                    'BadPayload', [ErrorCategory]::InvalidData, $Payload))
            return
        }
        $clean + $implementation.Compute($clean)
    }
}

Export-ModuleMember -Function @('Test-CheckDigit', 'Add-CheckDigit')
