#version 450

// Skinned vegetation: dual-quaternion skinning for the trunk and branches,
// then wind on top. Dual quaternions keep the volume of twisted branches,
// where blended matrices would collapse them.

layout(location = 0) in vec3 inPosition;
layout(location = 1) in vec3 inNormal;
layout(location = 2) in vec4 inTangent;     // w: handedness
layout(location = 3) in vec2 inUv;
layout(location = 4) in uvec4 inJoints;
layout(location = 5) in vec4 inWeights;
layout(location = 6) in vec4 inWind;        // phase, branch, leaf, stiffness

layout(location = 0) out VertexData {
    vec3 worldPosition;
    vec3 normal;
    vec4 tangent;
    vec2 uv;
    float flutter;
} vertexOut;

struct DualQuat {
    vec4 real;
    vec4 dual;
};

layout(set = 0, binding = 0, std140) uniform Camera {
    mat4 viewProjection;
    vec3 eye;
    float time;
} camera;

layout(set = 0, binding = 1, std140) uniform Wind {
    vec2 direction;     // unit length, in the ground plane
    float strength;     // metres of sway at the top
    float gustLength;   // metres between gusts
} wind;

layout(set = 1, binding = 0, std430) readonly buffer Joints {
    DualQuat joints[];
};

struct Instance {
    mat4 model;
    uint firstJoint;
    float scale;
    float height;
    float pad;
};

layout(set = 1, binding = 1, std430) readonly buffer Instances {
    Instance instances[];
};

vec3 rotate(vec4 q, vec3 v)
{
    return v + 2.0 * cross(q.xyz, cross(q.xyz, v) + q.w * v);
}

DualQuat blend(uint first)
{
    DualQuat sum = joints[first + inJoints.x];
    vec4 pivot = sum.real;
    sum.real *= inWeights.x;
    sum.dual *= inWeights.x;
    for (int i = 1; i < 4; ++i) {
        DualQuat q = joints[first + inJoints[i]];
        // q and -q are the same rotation: take the one on the short way.
        float w = inWeights[i] * (dot(pivot, q.real) < 0.0 ? -1.0 : 1.0);
        sum.real += w * q.real;
        sum.dual += w * q.dual;
    }
    float inverseLength = inversesqrt(dot(sum.real, sum.real));
    sum.real *= inverseLength;
    sum.dual *= inverseLength;
    return sum;
}

vec3 transform(DualQuat q, vec3 p)
{
    vec3 translation = 2.0 * (q.real.w * q.dual.xyz - q.dual.w * q.real.xyz
                              + cross(q.real.xyz, q.dual.xyz));
    return rotate(q.real, p) + translation;
}

// A smooth wave with the period 1: cheaper than sine and gentle at its ends.
vec4 smoothWave(vec4 x)
{
    vec4 t = abs(fract(x + 0.5) * 2.0 - 1.0);
    return (t * t * (3.0 - 2.0 * t)) * 2.0 - 1.0;
}

vec3 windOffset(vec3 world, vec3 normal, float height, out float flutter)
{
    float gustPhase = dot(world.xz, wind.direction) / wind.gustLength - camera.time * 0.35;
    vec4 waves = smoothWave(vec4(gustPhase,
                                 gustPhase * 2.7 + inWind.x,
                                 camera.time * 1.9 + inWind.x,
                                 camera.time * 6.3 + inWind.x * 5.0));

    // Bending grows with the square of the height above the root.
    float bend = height * height * wind.strength * (0.6 + 0.4 * waves.x) * (1.0 - inWind.w);
    vec3 offset = vec3(wind.direction.x, 0.0, wind.direction.y) * bend;

    offset.y += inWind.y * wind.strength * 0.3 * waves.z;
    flutter = inWind.z * waves.w * (0.5 + 0.5 * waves.y);
    return offset + normal * flutter * wind.strength * 0.05;
}

void main()
{
    Instance instance = instances[gl_InstanceIndex];
    DualQuat q = blend(instance.firstJoint);

    vec3 local = transform(q, inPosition) * instance.scale;
    vec3 world = (instance.model * vec4(local, 1.0)).xyz;

    // The model matrix holds rotation and translation only.
    mat3 orientation = mat3(instance.model);
    vec3 normal = orientation * rotate(q.real, inNormal);
    vec3 tangent = orientation * rotate(q.real, inTangent.xyz);

    float height = clamp(local.y / instance.height, 0.0, 1.0);
    float flutter;
    vec3 offset = windOffset(world, normal, height, flutter);
    // Shorten the way down, so that bending does not stretch the plant.
    offset.y -= 0.5 * dot(offset.xz, offset.xz) / max(local.y, 0.01);
    world += offset;

    vertexOut.worldPosition = world;
    vertexOut.normal = normalize(normal + 0.2 * offset);
    vertexOut.tangent = vec4(tangent, inTangent.w);
    vertexOut.uv = inUv;
    vertexOut.flutter = flutter;
    gl_Position = camera.viewProjection * vec4(world, 1.0);
}
