#!/usr/bin/env groovy
/*
 * Nightly regression of the route planner against recorded journeys.
 *
 * The map is cut into regions that run in parallel on whatever agents are free. A
 * region that was already bad yesterday does not wake anybody up again.
 */
import com.cloudbees.groovy.cps.NonCPS
import groovy.transform.Field
import java.time.LocalDate

@Field final List<String> REGIONS = ['coast', 'capital', 'highlands', 'lake-district', 'islands']
@Field final BigDecimal TOLERANCE = 0.02

@Field Map<String, Map> outcomes = [:]

properties([
    buildDiscarder(logRotator(numToKeepStr: '60', artifactNumToKeepStr: '7')),
    disableConcurrentBuilds(abortPrevious: true),
    pipelineTriggers([cron('H 1 * * *')]),
    parameters([
        string(name: 'PLANNER_IMAGE', defaultValue: 'registry.example.com/planner:main', description: 'Image under test'),
        booleanParam(name: 'UPDATE_BASELINE', defaultValue: false, description: 'Accept the new results'),
    ]),
])

/** Shape of one region's result, as written by the comparison tool. */
Map summarize(Map raw) {
    def journeys = raw.journeys.findAll { !it.skipped }
    def slower = journeys.findAll { it.seconds > it.baseline * (1 + TOLERANCE) }
    [
        total  : journeys.size(),
        slower : slower.size(),
        broken : journeys.count { it.error },
        worst  : slower.max { it.seconds / it.baseline }?.id,
        median : median(journeys*.planningMillis),
    ]
}

@NonCPS
static BigDecimal median(List<Number> values) {
    if (!values) return null
    def sorted = values.toSorted()
    int half = sorted.size().intdiv(2)
    sorted.size() % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2
}

def regionStage(String region) {
    return {
        node('linux && docker && mem-16g') {
            stage(region) {
                timeout(time: 50, unit: 'MINUTES') {
                    checkout scm
                    copyArtifacts projectName: env.JOB_NAME, selector: lastSuccessful(), optional: true,
                        filter: "baseline/${region}.json"
                    docker.image(params.PLANNER_IMAGE).inside('--network none --memory 14g') {
                        retry(2) {
                            sh label: 'replay', script: """
                                set -o errexit -o nounset
                                planner import --region ${region} --out work/graph
                                planner replay --graph work/graph --journeys recorded/${region}.ndjson \\
                                    --baseline baseline/${region}.json --out work/${region}.json
                            """
                        }
                    }
                    outcomes[region] = summarize(readJSON(file: "work/${region}.json"))
                    stash name: "result-${region}", includes: "work/${region}.json"
                }
            }
        }
    }
}

def isKnown(String region, Map outcome) {
    def previous = currentBuild.previousBuild?.buildVariables?.get("BROKEN_${region}")
    return previous != null && (previous as Integer) >= outcome.broken
}

try {
    parallel(REGIONS.collectEntries { [it, regionStage(it)] } + [failFast: false])
} finally {
    node('linux') {
        stage('Report') {
            def finished = outcomes.findAll { it.value }
            def missing = REGIONS - finished.keySet()
            finished.each { region, o -> env["BROKEN_${region}"] = o.broken as String }

            def table = finished.collect { region, o ->
                String.format('%-14s %6d journeys %4d slower %4d broken  median %s ms  worst %s',
                    region, o.total, o.slower, o.broken, o.median ?: '-', o.worst ?: '-')
            }.join('\n')
            writeFile file: "report-${LocalDate.now()}.txt", text: table + '\n'
            archiveArtifacts 'report-*.txt'
            echo table

            def fresh = finished.findAll { region, o -> o.broken > 0 && !isKnown(region, o) }.keySet()
            switch (true) {
                case missing as boolean:
                    currentBuild.result = 'FAILURE'
                    currentBuild.description = "no result: ${missing.join(', ')}"
                    break
                case finished.any { it.value.broken > 0 }:
                    currentBuild.result = 'UNSTABLE'
                    currentBuild.description = fresh ? "newly broken: ${fresh.join(', ')}" : 'broken as before'
                    break
                default:
                    currentBuild.description = 'all journeys planned'
            }
            if (fresh || missing) {
                slackSend channel: '#routing', color: 'danger',
                    message: "${env.JOB_NAME}: ${currentBuild.description} (<${env.BUILD_URL}|log>)"
            }
        }

        if (params.UPDATE_BASELINE && currentBuild.currentResult == 'SUCCESS') {
            stage('Baseline') {
                REGIONS.each { region ->
                    unstash "result-${region}"
                    sh "mkdir -p baseline && mv work/${region}.json baseline/"
                }
                archiveArtifacts artifacts: 'baseline/*.json', fingerprint: true
            }
        }
    }
}
